/** Writes the results that are too long for the prompt, for the agent to read. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Brief, WORKSPACE } from "../contract.ts";
import { RunFailure } from "../run-failure.ts";

/** `<task id>.json` and the like: no directory, nothing hidden. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/**
 * A file each below `results`; without files there is no such directory.
 * @throws RunFailure (`checkout_failed`) where a name is none for a file there
 */
export async function layOutResults(workspace: string, files: Brief["files"]): Promise<void> {
  if (files.length === 0) return;
  const bad = files.find(({ name }) => !NAME.test(name));
  if (bad !== undefined) {
    throw new RunFailure(
      "checkout_failed",
      `The result file "${bad.name.slice(0, 100)}" has a name that is not used here.`,
    );
  }
  const directory = join(workspace, WORKSPACE.results);
  await mkdir(directory);
  for (const { name, content } of files) await writeFile(join(directory, name), content);
}
