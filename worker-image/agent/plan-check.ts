/** Whether a planner leaves a plan that can be kept: told while there is somebody who can mend it. */
import type { Brief } from "../contract.ts";
import { readAgentSection } from "../plan/agent-plan.ts";
import { isPlanner } from "../plan/planner.ts";
import { epicMarker, PLAN_FILE } from "../plan/sections.ts";
import { RunFailure } from "../run-failure.ts";

/** What the agent is told of its plan; null: the run keeps no plan, or it is as it should be. */
export async function planMessage(brief: Brief, workspace: string): Promise<string | null> {
  if (!isPlanner(brief)) return null;
  const problem = await planProblem(brief.epic, workspace);
  if (problem === null) return null;
  const { id, plan_branch } = brief.epic;
  return [
    `Your plan cannot be kept: ${problem}`,
    `Mend that and end your turn: your section must be in ${PLAN_FILE} of the work tree, below a heading with ` +
      `${epicMarker(id)}. As you found it, the plan is in \`git show origin/${plan_branch}:${PLAN_FILE}\`, where there ` +
      "was one. What you have created or asked for in this run counts already; do not do it again.",
  ].join("\n\n");
}

async function planProblem(epic: { id: string; title: string }, workspace: string): Promise<string | null> {
  try {
    const section = await readAgentSection(workspace, epic, "");
    return section === null ? `${PLAN_FILE} is gone.` : null;
  } catch (error) {
    if (error instanceof RunFailure) return error.message;
    throw error;
  }
}
