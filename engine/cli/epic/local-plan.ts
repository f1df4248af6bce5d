/** The plan of an epic out of the checkout that a person is in; the network is not asked. */
import { PLAN_FILE, sectionOf } from "../../../worker-image/plan/sections.ts";
import { readFileAt, readGitCheckout } from "../../git-checkout.ts";
import type { EpicRow } from "../../store/epics.ts";

/**
 * The epic's section as Green last committed it, or what to do where the checkout has not that commit. Null where there
 * is no plan yet, and outside of a checkout of the epic's repository.
 */
export async function localPlan(
  directory: string,
  epic: Pick<EpicRow, "id" | "repo_url" | "plan_branch" | "plan_commit">,
): Promise<string | null> {
  if (epic.plan_commit === null || epic.repo_url === null) return null;
  const checkout = await readGitCheckout(directory);
  if (checkout === null || checkout.repoUrl === null || keyOf(checkout.repoUrl) !== keyOf(epic.repo_url)) return null;
  const plan = await readFileAt(checkout.root, epic.plan_commit, PLAN_FILE);
  if (plan === null)
    return `It is not in your checkout yet; get it with: git fetch origin ${epic.plan_branch ?? ""}`.trimEnd();
  return sectionOf(plan, epic.id) ?? "It has no section for this epic.";
}

/** As repository_key() in the database. */
function keyOf(repoUrl: string): string {
  return repoUrl.replace(/\/+$/, "").replace(/\.git$/, "");
}
