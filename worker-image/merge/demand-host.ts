/** Whether a task needs its repository's host, and whether that can be had at all: better known before the agent works. */
import type { Brief } from "../contract.ts";
import type { RemoteAddress } from "../git/remote-address.ts";
import { hostAddress } from "../hosts/find-host.ts";
import { isPlanner } from "../plan/planner.ts";
import { RunFailure } from "../run-failure.ts";

/** Pure: a task that wants a pull request, to be looked at (`open`) or to be merged (`merge`). A plan wants none. */
export function wantedOfHost(brief: Brief): "open" | "merge" | null {
  if (isPlanner(brief)) return null;
  if (brief.merge !== null) return brief.merge.policy === "pull_request" ? "merge" : null;
  return brief.pull_request ? "open" : null;
}

/** Asks nobody. @throws RunFailure (`checkout_failed`) with a sentence that says what is missing */
export function demandHost(
  brief: Brief,
  remote: RemoteAddress,
  environment: Readonly<Record<string, string | undefined>>,
): void {
  if (wantedOfHost(brief) === null) return;
  const address = hostAddress(brief.host, remote, environment);
  if ("problem" in address) throw new RunFailure("checkout_failed", address.problem);
}
