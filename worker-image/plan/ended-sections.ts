/**
 * Sections that leave the plan: of epics that ended long ago, as their Green left them. Whoever wrote into a section
 * since then keeps it there, and what is of no known epic is nobody's to remove. git keeps what leaves.
 */
import { fetchCommits } from "../git/private-repository.ts";
import { GitError, tryGit } from "../git/run-git.ts";
import type { RemoteCopy, Work } from "../publish/remote-copy.ts";
import { RunFailure } from "../run-failure.ts";
import { readPlan } from "./read-plan.ts";
import { epicsOf, sectionOf } from "./sections.ts";

/** An epic that ended long ago. */
export interface EndedEpic {
  id: string;
  /** The commit of the plan as its Green last left it. */
  plan_commit: string;
}

/** Which of these epics ended long ago. */
export type EndedEpics = (ids: string[]) => Promise<EndedEpic[]>;

/** In one commit: each is read from a commit of its own. The next one goes on. */
const MAX_AT_ONCE = 100;

/** The plan's sections of epics that ended long ago, by epic, each as its Green left it; `own` is never among them. */
export async function sectionsOfEnded(
  work: Work,
  copy: RemoteCopy,
  { plan, own, endedEpics }: { plan: string; own: string; endedEpics: EndedEpics },
): Promise<Map<string, string>> {
  const others = epicsOf(plan).filter((id) => id !== own);
  const ended = others.length === 0 ? [] : (await endedEpics(others)).slice(0, MAX_AT_ONCE);
  if (work.depth !== null) await fetchMissing(copy, ended);
  const sections = new Map<string, string>();
  for (const { id, plan_commit } of ended) {
    const section = await sectionIn(copy, plan_commit, id);
    if (section !== null) sections.set(id, section);
  }
  return sections;
}

/** Pure: those of them that are in the plan as they were left. */
export function untouched(plan: string, left: ReadonlyMap<string, string>): string[] {
  return [...left].flatMap(([id, section]) => (sectionOf(plan, id) === section ? [id] : []));
}

/** Those that the little history does not hold. */
async function fetchMissing(copy: RemoteCopy, ended: readonly EndedEpic[]): Promise<void> {
  const missing: string[] = [];
  for (const { plan_commit: sha } of ended) {
    if ((await tryGit(copy.local, ["cat-file", "-e", `${sha}^{commit}`])).exitCode !== 0) missing.push(sha);
  }
  if (missing.length > 0) await fetchCommits(copy.withRemote, copy.remote, missing);
}

/** Null where it cannot be had: then nobody knows who changed it. */
async function sectionIn(copy: RemoteCopy, commit: string, epicId: string): Promise<string | null> {
  try {
    return sectionOf(await readPlan(copy.local, commit, commit), epicId);
  } catch (error) {
    if (error instanceof GitError || error instanceof RunFailure) return null;
    throw error;
  }
}
