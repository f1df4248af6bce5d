/** Makes the commit of a plan: its parent's files, with nothing changed but the plan. */
import { rm } from "node:fs/promises";
import type { Brief } from "../contract.ts";
import { git, type GitContext } from "../git/run-git.ts";
import type { PlannerBrief } from "./planner.ts";
import { bytesOf, PLAN_FILE } from "./sections.ts";

export interface PlanCommit {
  parent: string;
  plan: string;
  /** Of ended epics, whose sections leave the plan with this commit: what they are called. */
  gone: { id: string; title: string }[];
  brief: PlannerBrief;
  /** A file of ours; made anew. */
  index: string;
  /** Epoch seconds. */
  date_seconds: number;
}

/** @returns the commit @throws GitError */
export async function commitPlan(context: GitContext, request: PlanCommit): Promise<string> {
  const { parent, plan, brief, index } = request;
  await rm(index, { force: true });
  const inIndex = withVariables(context, { GIT_INDEX_FILE: index });
  await git(inIndex, ["read-tree", parent]);
  const blob = (await git(context, ["hash-object", "-w", "--stdin"], { input: bytesOf(plan) })).trim();
  await git(inIndex, ["update-index", "--add", "--cacheinfo", `100644,${blob},${PLAN_FILE}`]);
  const tree = (await git(inIndex, ["write-tree"])).trim();
  const committing = withVariables(context, identity(brief, request.date_seconds));
  return (await git(committing, ["commit-tree", tree, "-p", parent], { input: messageOf(request) })).trim();
}

function messageOf({ brief, gone }: PlanCommit): string {
  const left = gone.map(({ id, title }) => `- ${oneLine(title)} (${id})`);
  const leaving =
    left.length === 0 ? [] : [["Sections of ended epics leave the plan; the parent has them:", ...left].join("\n")];
  const trailers = `Myzel-Epic: ${brief.epic.id}\nMyzel-Task: ${brief.task_id}`;
  return `${[`Plan: ${oneLine(brief.epic.title)}`, ...leaving, trailers].join("\n\n")}\n`;
}

function oneLine(title: string): string {
  return title
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, 100);
}

function identity(brief: Brief, dateSeconds: number): Record<string, string> {
  const name = `Myzel agent ${brief.addressee}`.replace(/[\p{Cc}<>]/gu, " ");
  const date = `@${dateSeconds} +0000`;
  return {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: "agent@myzel.invalid",
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: "agent@myzel.invalid",
    GIT_COMMITTER_DATE: date,
  };
}

function withVariables(context: GitContext, variables: Record<string, string>): GitContext {
  return { ...context, environment: { ...context.environment, ...variables } };
}
