/** Whether git takes a name for a branch. */
import { RunFailure } from "../run-failure.ts";
import { tryGit, type GitContext } from "./run-git.ts";

/** @throws RunFailure (`checkout_failed`) with a sentence */
export async function demandBranchName(context: GitContext, name: string): Promise<void> {
  // The argument is a full ref name, so neither an option nor one of git's abbreviations.
  const usable = name !== "" && name !== "HEAD" && !name.startsWith("-") && !name.includes("\0");
  const end = usable ? await tryGit(context, ["check-ref-format", `refs/heads/${name}`]) : { exitCode: 1 };
  if (end.exitCode !== 0)
    throw new RunFailure("checkout_failed", `Git refuses the branch name "${name.slice(0, 200)}".`);
}
