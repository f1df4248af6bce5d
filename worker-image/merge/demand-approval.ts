/** Whether what a person has allowed to be merged is still what would be merged. Pure. */
import type { Brief } from "../contract.ts";
import { RunFailure } from "../run-failure.ts";

/** @throws RunFailure (`push_rejected`) with a sentence */
export function demandApproval({ merge }: Pick<Brief, "merge">): void {
  const changedBy = merge?.changed_since_approval ?? null;
  if (merge === null || changedBy === null) return;
  throw new RunFailure(
    "push_rejected",
    `The branch "${merge.source}" was changed by task ${changedBy} after its merge was allowed, so nothing was merged: ask for it again.`,
  );
}
