/** What becomes of an epic's section that two have changed. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { git, type GitContext } from "../git/run-git.ts";
import { bytesOf, trimmed } from "./sections.ts";

export interface SectionVersions {
  /** As the agent left it. */
  own: string;
  /** As the agent found it. */
  base: string;
  /** As it is on the remote now; null: nobody has one. */
  theirs: string | null;
}

/**
 * The section to push; null where the remote has all of it. Of lines that both have changed, both are kept: the next
 * Green reads them, and nothing that a person wrote is lost.
 * @param directory for files that git compares, made and removed
 * @throws GitError
 */
export async function mergeSections(
  context: GitContext,
  directory: string,
  { own, base, theirs }: SectionVersions,
): Promise<string | null> {
  if (own === base || own === theirs) return null;
  if (theirs === null || theirs === base) return own;
  const versions = Object.entries({ own, base, theirs });
  const files = versions.map(([name]) => join(directory, `section-${name}.md`));
  try {
    for (const [at, [, text]] of versions.entries()) await writeFile(files[at] ?? "", bytesOf(`${text}\n`));
    const merged = trimmed(await git(context, ["merge-file", "--union", "-p", ...files], { encoding: "latin1" }));
    return merged === theirs ? null : merged;
  } finally {
    for (const file of files) await rm(file, { force: true });
  }
}
