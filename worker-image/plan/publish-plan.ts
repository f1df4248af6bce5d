/**
 * Brings a planner's section of the plan to the plan branch: one commit that changes nothing else, on top of what is
 * there at that moment.
 *
 * Another epic's push in between is no conflict: the section is put into the plan as it is then, as often as it takes,
 * never by force. What was changed in this very section meanwhile, by a person or by another Green of the epic, is kept
 * beside the agent's lines.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { changedFiles, demandCleanCommits } from "../git/new-commits.ts";
import { fetchCommits, fetchRemote, isOnRemote } from "../git/private-repository.ts";
import { movedMeanwhile, pushCommit } from "../git/push.ts";
import { git } from "../git/run-git.ts";
import { endOfAgent, findHead, notedStart } from "../publish/agent-work.ts";
import type { Published } from "../publish/publish-work.ts";
import { baseTip, commonCommit, patiently, type RemoteCopy, tipOf, type Work } from "../publish/remote-copy.ts";
import { RunFailure } from "../run-failure.ts";
import { readAgentSection } from "./agent-plan.ts";
import { commitPlan } from "./commit-plan.ts";
import { type EndedEpics, sectionsOfEnded, untouched } from "./ended-sections.ts";
import { mergeSections } from "./merge-sections.ts";
import type { PlannerBrief } from "./planner.ts";
import { MAX_PLAN_BYTES, readPlan } from "./read-plan.ts";
import { newSection, PLAN_FILE, sectionOf, titleOf, trimmed, withoutSections, withSection } from "./sections.ts";

/** With the pauses between them: enough for a hundred Greens that end at once. */
const MAX_TRIES = 60;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;

export type PlannerWork = Work & { brief: PlannerBrief };

export interface PlanDatabase {
  /** Stores what is about to be on the remote; called right before each try. */
  announce: (published: Published) => Promise<void>;
  endedEpics: EndedEpics;
}

/**
 * Pushes the section, where there is something new in it, and takes out those of epics that ended long ago.
 * @throws RunFailure (`push_rejected`, `secret_leaked`), GitError
 */
export async function publishPlan(
  work: PlannerWork,
  copy: RemoteCopy,
  { announce, endedEpics }: PlanDatabase,
): Promise<Published> {
  const { epic } = work.brief;
  const branch = epic.plan_branch;
  const nothing: Published = { branch, commit_sha: null, files_changed: [] };
  const before = await planBefore(work, copy);
  const own = await readAgentSection(work.workspace, epic, before);
  if (own === null) return nothing;
  const base = baseOf(before, epic);

  let ended: Map<string, string> | null = null;
  for (let tries = 1; ; tries++) {
    const there = await planOnRemote(work, copy);
    const theirs = sectionOf(there.plan, epic.id);
    const section = await mergeSections(copy.local, work.privateDir, { own, base, theirs });
    if (section === null) {
      // Nothing is new; or this was pushed before and its report was lost.
      const pushed = own === base ? null : await ownCommit(copy, there.tip, work.brief.task_id);
      return pushed === null ? nothing : { branch, commit_sha: pushed, files_changed: [PLAN_FILE] };
    }
    ended ??= await sectionsOfEnded(work, copy, { plan: there.plan, own: epic.id, endedEpics });
    const sha = await commitSection(work, copy, there, { section, gone: untouched(there.plan, ended) });
    await demandCleanCommits(copy.local, { head: sha, secrets: work.secrets });
    const published = { branch, commit_sha: sha, files_changed: [PLAN_FILE] };
    await announce(published);
    if (await push(work, copy, { sha, mayMove: tries < MAX_TRIES })) return published;
    await pauseAfter(tries, work.localGit.signal);
    await patiently(work, () => fetchRemote(copy.withRemote, copy.remote, work.depth));
  }
}

/** The task's newest commit of the plan; null: it has none. */
async function ownCommit(copy: RemoteCopy, tip: string | null, taskId: string): Promise<string | null> {
  if (tip === null) return null;
  const options = ["--max-count=1", "--format=%H", "--fixed-strings", `--grep=Myzel-Task: ${taskId}`];
  return (await git(copy.local, ["log", ...options, tip, "--", PLAN_FILE])).trim() || null;
}

/** Whether the agent has left all as checkout laid it out: neither its section nor a file beside the plan is changed. */
export async function leftNothing(work: PlannerWork, copy: RemoteCopy): Promise<boolean> {
  const { epic } = work.brief;
  const before = await planBefore(work, copy);
  const own = await readAgentSection(work.workspace, epic, before).catch((error: unknown) => {
    // A plan that cannot be published is something all the same.
    if (error instanceof RunFailure) return null;
    throw error;
  });
  return own === baseOf(before, epic) && (await leftOut(work, copy)).length === 0;
}

/** The section that the agent was given. */
function baseOf(before: string, epic: PlannerBrief["epic"]): string {
  return sectionOf(before, epic.id) ?? trimmed(newSection(epic));
}

/** What else the agent changed in its work tree: paths that are not published. */
export async function leftOut(work: PlannerWork, copy: RemoteCopy): Promise<string[]> {
  const head = await findHead(work, copy);
  const from = head === null ? null : await commonCommit(copy.local, await baseTip(work, copy), head);
  if (head === null || from === null) return [];
  return (await changedFiles(copy.local, { from, to: head })).filter((path) => path !== PLAN_FILE);
}

/** The plan that the agent began from; where that cannot be had, the remote's as it is now. */
async function planBefore(work: PlannerWork, copy: RemoteCopy): Promise<string> {
  const start = await notedStart(work.workspace);
  const isThere =
    start !== null &&
    ((await isOnRemote(copy.local, start)) ||
      // It is not in the little history that was fetched.
      (work.depth !== null && (await fetchCommits(copy.withRemote, copy.remote, [start]))));
  if (!isThere) return (await planOnRemote(work, copy)).plan;
  return readPlan(copy.local, start, work.brief.epic.plan_branch);
}

interface PlanThere {
  /** The plan branch's commit; null: there is no such branch yet. */
  tip: string | null;
  /** What a new commit goes on from: the tip, or the default branch's. */
  parent: string;
  plan: string;
}

async function planOnRemote(work: PlannerWork, copy: RemoteCopy): Promise<PlanThere> {
  const branch = work.brief.epic.plan_branch;
  const tip = await tipOf(copy, branch);
  const parent = tip ?? (await baseTip(work, copy));
  if (parent === null) throw new RunFailure("push_rejected", "The remote has no default branch to put the plan on.");
  const plan = await readPlan(copy.local, parent, tip === null ? "the default branch" : branch);
  return { tip, parent, plan };
}

async function commitSection(
  work: PlannerWork,
  copy: RemoteCopy,
  there: PlanThere,
  { section, gone }: { section: string; gone: string[] },
): Promise<string> {
  const { brief, privateDir, workspace } = work;
  const plan = withSection(withoutSections(there.plan, gone), brief.epic.id, section);
  if (plan.length > MAX_PLAN_BYTES) {
    const sentence = `With this section ${PLAN_FILE} would be larger than ${MAX_PLAN_BYTES / 2 ** 20} MiB: take the sections of ended epics out of it.`;
    throw new RunFailure("push_rejected", sentence);
  }
  return commitPlan(copy.local, {
    parent: there.parent,
    plan,
    gone: gone.map((id) => ({ id, title: titleOf(sectionOf(there.plan, id) ?? "") })),
    brief,
    index: join(privateDir, "plan-index"),
    date_seconds: await endOfAgent(workspace),
  });
}

/** False where somebody else was faster and the branch may be looked at again. */
async function push(work: PlannerWork, copy: RemoteCopy, { sha, mayMove }: { sha: string; mayMove: boolean }) {
  const branch = work.brief.epic.plan_branch;
  try {
    await patiently(work, () => pushCommit(copy.withRemote, { remote: copy.remote, sha, branch }));
    return true;
  } catch (error) {
    if (mayMove && error instanceof RunFailure && error.message === movedMeanwhile(branch)) return false;
    throw error;
  }
}

/** Of random length, so that those who collided do not collide again. */
async function pauseAfter(tries: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries);
  await delay(Math.random() * longest, undefined, { signal });
}
