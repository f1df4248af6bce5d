/** Who keeps a plan: a Green of an epic that has a repository. Pure. */
import type { Brief, BriefEpic } from "../contract.ts";

export type PlannerBrief = Brief & { epic: BriefEpic; repo_url: string };

/** Whether the run plans: then nothing but its plan is published. */
export function isPlanner(brief: Brief): brief is PlannerBrief {
  return brief.profile.role === "green" && brief.epic !== null && brief.repo_url !== null;
}
