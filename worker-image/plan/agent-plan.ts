/** Reads the planner's own section out of the work tree that the agent left. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { WORKSPACE } from "../contract.ts";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";
import { RunFailure } from "../run-failure.ts";
import {
  epicMarker,
  hasSections,
  newSection,
  PLAN_DIRECTORY,
  PLAN_FILE,
  preambleOf,
  sectionOf,
  textOf,
  trimmed,
} from "./sections.ts";

const MAX_BYTES = 2 ** 20;

/**
 * The section, as latin1; null where the agent removed the file, which leaves the plan as it is.
 * @param before the plan as it was laid out
 * @throws RunFailure (`push_rejected`) with a sentence
 */
export async function readAgentSection(
  workspace: string,
  epic: { id: string; title: string },
  before: string,
): Promise<string | null> {
  const plan = await readAgentPlan(join(workspace, WORKSPACE.repo));
  if (plan === null) return null;
  const section = sectionOf(plan, epic.id) ?? wholeAsSection(plan, epic, before);
  if (section.includes("\0")) throw rejected(`${PLAN_FILE} holds a NUL character, so it is no text.`);
  return section;
}

/** A plan in which no epic is marked can only be meant for this one. */
function wholeAsSection(plan: string, epic: { id: string; title: string }, before: string): string {
  if (hasSections(plan)) {
    throw rejected(
      `${PLAN_FILE} has no section of this epic any more, so its plan was not kept: its heading must end in ${epicMarker(epic.id)}.`,
    );
  }
  const preamble = preambleOf(before);
  const own = plan.startsWith(preamble) ? plan.slice(preamble.length) : plan;
  return trimmed(`${newSection(epic)}\n${trimmed(own)}`);
}

async function readAgentPlan(workTree: string): Promise<string | null> {
  if (!(await isRealDirectory(workTree))) return null;
  const directory = await lstat(join(workTree, PLAN_DIRECTORY)).catch(() => null);
  if (directory === null) return null;
  if (!directory.isDirectory()) throw rejected(`${PLAN_DIRECTORY} is no directory any more, so the plan was not read.`);
  const stat = await lstat(join(workTree, PLAN_FILE)).catch(() => null);
  if (stat === null) return null;
  if (!stat.isFile()) throw rejected(`${PLAN_FILE} is no regular file, so it was not read.`);
  const content = await readSmallFile(join(workTree, PLAN_FILE), MAX_BYTES);
  if (content !== null) return textOf(content);
  throw rejected(`${PLAN_FILE} is larger than ${MAX_BYTES / 2 ** 20} MiB or cannot be read; keep the plan short.`);
}

function rejected(sentence: string): RunFailure {
  return new RunFailure("push_rejected", sentence);
}
