/**
 * What the agent is told first: where it is, then its prompt. Begins with text of ours, for a message that begins
 * with `/` is a command to the CLI. Pure.
 */
import type { Brief, BriefEpic, BriefMerge } from "../contract.ts";
import { epicMarker } from "../plan/sections.ts";

/** The first message of a run that starts from the beginning. */
export function firstMessage(brief: Brief): string {
  const files = brief.files.length;
  const facts = [
    `Task ${brief.task_id} for ${brief.addressee}.`,
    ...whereFacts(brief),
    ...(files === 0 ? [] : [`${files === 1 ? "A long result lies" : `${files} long results lie`} in ../results.`]),
  ];
  return `${facts.join(" ")}\n\n${brief.prompt}`;
}

function whereFacts({ profile, epic, merge, branch }: Brief): string[] {
  if (profile.role === "green" && epic !== null) return [epicFact(epic), planFact(epic, branch)];
  if (branch === null) return ["There is no repository."];
  return [merge === null ? `You are on branch ${branch}.` : mergeFact(merge, branch)];
}

function epicFact(epic: BriefEpic): string {
  return `It belongs to the epic ${epic.id}, "${epic.title.replace(/["\p{Cc}]/gu, " ").slice(0, 200)}".`;
}

function planFact(epic: BriefEpic, branch: string | null): string {
  if (branch === null) return "There is no repository, so there is no plan but what the results say.";
  return (
    "You see the default branch, and in .ai/plan.md the plan as it is now: your section is under the heading with " +
    `${epicMarker(epic.id)}. The plan is kept on branch ${epic.plan_branch}.`
  );
}

function mergeFact({ source, target, policy }: BriefMerge, branch: string): string {
  const into = target ?? "the default branch";
  if (policy === "pull_request") {
    return (
      `You are on branch ${branch}. A pull request brings it into ${into}: it is opened for you, and merged once its ` +
      `required checks are green. See that origin/${target ?? "HEAD"} merges into this branch without a conflict, and that its checks pass.`
    );
  }
  return `You are on ${target === null ? into : `branch ${into}`}: merge origin/${source} into it. The result is pushed for you.`;
}
