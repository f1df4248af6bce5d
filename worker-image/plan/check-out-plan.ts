/**
 * What a planner is given: the default branch as it is now, with the plan branch's plan laid over it. Its epic's section
 * is there from the start, if only as a heading.
 */
import { lstat, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CheckoutRecord } from "../contract.ts";
import { cloneRepository, type CloneRequest, isOnRemoteBranch } from "../git/clone.ts";
import { readRemoteState, type RemoteState } from "../git/remote-state.ts";
import { git, type GitContext } from "../git/run-git.ts";
import { decideStart } from "../git/starting-point.ts";
import { RunFailure } from "../run-failure.ts";
import { mergeSections } from "./merge-sections.ts";
import type { PlannerBrief } from "./planner.ts";
import { readPlan } from "./read-plan.ts";
import {
  bytesOf,
  newSection,
  PLAN_DIRECTORY,
  PLAN_FILE,
  sectionOf,
  shortened,
  trimmed,
  withSection,
} from "./sections.ts";

/** A longer plan is laid out without the sections of other epics. */
const MAX_SHOWN_BYTES = 128 * 2 ** 10;

/**
 * Clones, and lays the plan over. The record's start is the commit that the plan was read from: the plan branch's, or
 * the default branch's where there is none yet.
 * @throws RunFailure (`checkout_failed`), GitError
 */
export async function checkOutPlan(
  context: GitContext,
  brief: PlannerBrief,
  request: Pick<CloneRequest, "remote" | "target" | "mirror" | "depth">,
): Promise<CheckoutRecord> {
  if (brief.merge !== null) {
    const sentence = `A task of kind merge is for a worker, and "${brief.addressee}" is a Green: give it to another addressee.`;
    throw new RunFailure("checkout_failed", sentence);
  }
  const { remote, target } = request;
  const branch = brief.epic.plan_branch;
  const announced = brief.announced?.commit_sha ?? null;
  const state = await readRemoteState(context, remote);
  const tip = state.branches.get(branch) ?? null;
  if (announced !== null && tip === announced) return { already_published: true, branch, start_sha: announced };

  await rm(target, { recursive: true, force: true });
  const shown = await cloneRepository(context, { ...request, ...plannerStart(brief, state) });
  const repository = inClone(context, target);
  if (request.depth !== null) {
    // A shallow clone has one branch alone, and a planner looks at the others' work.
    const options = ["--quiet", "--no-tags", `--depth=${request.depth}`];
    await git(repository, ["fetch", ...options, "--", remote.url, "+refs/heads/*:refs/remotes/origin/*"]);
  }
  const source = tip === null ? shown : (await git(repository, ["rev-parse", `refs/remotes/origin/${branch}`])).trim();
  const plan = source === null ? "" : await readPlan(repository, source, tip === null ? "the default branch" : branch);
  await layOver(target, prepared(plan, brief));
  const pushed = announced !== null && (await isOnRemoteBranch(context, target, { sha: announced, branch }));
  return { already_published: pushed, branch, start_sha: source, shown_sha: shown };
}

/**
 * Lays the plan as it is now over a planner's kept work, its section merged with what others wrote into that meanwhile,
 * so that the agent reads it before it goes on. Where the kept plan has no such section it stays as it is.
 * @param given commits: what the kept plan began from, and the plan as it is now
 * @throws RunFailure, GitError
 */
export async function layPlanOverKept(
  context: GitContext,
  brief: PlannerBrief,
  given: { target: string; scratch: string; began: string; now: string },
): Promise<void> {
  const { epic } = brief;
  const own = sectionOf(await readPlan(context, "HEAD", "the kept work"), epic.id);
  if (own === null) return;
  const base = sectionOf(await readPlan(context, given.began, epic.plan_branch), epic.id) ?? trimmed(newSection(epic));
  const plan = await readPlan(context, given.now, epic.plan_branch);
  const theirs = sectionOf(plan, epic.id);
  const section = (await mergeSections(context, given.scratch, { own, base, theirs })) ?? theirs ?? own;
  await layOver(given.target, prepared(withSection(plan, epic.id, section), brief));
}

/** The default branch; refused where it is not there, or where the plan branch could not be made. */
function plannerStart(brief: PlannerBrief, remote: RemoteState): Pick<CloneRequest, "wanted" | "start"> {
  if (remote.branches.size === 0) {
    const sentence = "The repository is empty: an epic needs a default branch with a first commit (a README will do).";
    throw new RunFailure("checkout_failed", sentence);
  }
  const shared = { base: null, mayPushDefault: true, defaultBranch: brief.default_branch, merges: null };
  decideStart({ ...shared, branch: brief.epic.plan_branch }, remote);
  const shown = brief.default_branch ?? remote.defaultBranch;
  const there = shown !== null && remote.branches.has(shown);
  const wanted = { ...shared, branch: there ? shown : `myzel/${brief.task_id}` };
  return { wanted, start: decideStart(wanted, remote) };
}

/** With the epic's section. */
function prepared(plan: string, { epic }: PlannerBrief): string {
  const whole = sectionOf(plan, epic.id) === null ? withSection(plan, epic.id, newSection(epic)) : plan;
  return shortened(whole, epic.id, MAX_SHOWN_BYTES);
}

/** Follows no link of the repository's. */
async function layOver(target: string, plan: string): Promise<void> {
  const directory = join(target, PLAN_DIRECTORY);
  const there = await lstat(directory).catch(() => null);
  if (there !== null && !there.isDirectory()) {
    throw new RunFailure(
      "checkout_failed",
      `${PLAN_DIRECTORY} on the default branch is no directory, so there is no place for the plan: remove it from the branch.`,
    );
  }
  await mkdir(directory, { recursive: true });
  await rm(join(target, PLAN_FILE), { recursive: true, force: true });
  await writeFile(join(target, PLAN_FILE), bytesOf(plan), { flag: "wx" });
}

function inClone(context: GitContext, clone: string): GitContext {
  const environment = { ...context.environment, GIT_DIR: join(clone, ".git"), GIT_WORK_TREE: clone };
  return { ...context, cwd: clone, environment };
}
