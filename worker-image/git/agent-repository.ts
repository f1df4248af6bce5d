/**
 * Reads the agent's repository without running git in it.
 *
 * Its HEAD is read as a file. Its objects are lent to a repository of ours, the view, from which
 * everything new is then fetched: so no configuration, hook, attribute, graft or replacement of the
 * agent's is ever seen by git, and the fetch counts every object's hash anew. A repository that leads
 * out of the work tree (a linked `.git`, a linked or borrowed object store) counts as unreadable.
 */
import type { Dirent } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";
import { git, type GitContext } from "./run-git.ts";

const MAX_REF_BYTES = 4096;
const MAX_PACKED_REFS_BYTES = 64 * 2 ** 20;
const MAX_SHALLOW_BYTES = 4 * 2 ** 20;
const MAX_SYMBOLIC_REFS = 5;
/** `objects/info/commit-graphs/…` is the deepest that git makes. */
const MAX_STORE_DEPTH = 4;

const SHA = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** The commit that the agent's HEAD stands at; null where it stands at none or cannot be read. */
export async function readAgentHead(gitDir: string): Promise<string | null> {
  if (!(await isRealDirectory(gitDir))) return null;
  let name = "HEAD";
  for (let step = 0; step < MAX_SYMBOLIC_REFS; step++) {
    const value = (await looseRef(gitDir, name)) ?? (await packedRef(gitDir, name));
    if (value === null || SHA.test(value)) return value;
    const target = /^ref: (refs\/.+)$/.exec(value)?.[1];
    if (target === undefined || !isPlainRefName(target)) return null;
    name = target;
  }
  return null;
}

/** Whether the agent keeps only a part of the files in its work tree. */
export async function isSparse(gitDir: string): Promise<boolean> {
  return (
    (await isRealDirectory(gitDir)) &&
    (await isRealDirectory(join(gitDir, "info"))) &&
    (await readSmallFile(join(gitDir, "info", "sparse-checkout"), MAX_PACKED_REFS_BYTES)) !== null
  );
}

/**
 * Makes a bare repository at `view` whose only branch, `agent`, stands at `head` and whose objects are
 * the agent's. False where the agent's store leads elsewhere or holds what no store holds.
 */
export async function makeView(
  context: GitContext,
  { gitDir, view, head }: { gitDir: string; view: string; head: string },
): Promise<boolean> {
  const objects = join(gitDir, "objects");
  if (!(await isRealDirectory(gitDir)) || !(await isRealDirectory(objects)) || !(await isPlainStore(objects, 1)))
    return false;
  const format = head.length === 64 ? "sha256" : "sha1";
  await git(context, ["init", "--quiet", "--bare", "--template=", `--object-format=${format}`, view]);
  // In a file: where git starts the sending side of a local fetch, it drops what the environment configures.
  for (const setting of [
    "core.commitGraph",
    "core.multiPackIndex",
    "pack.useBitmaps",
    "pack.readReverseIndex",
    "gc.auto",
  ]) {
    await git(context, ["config", "--file", join(view, "config"), setting, "false"]);
  }
  await mkdir(join(view, "objects", "info"), { recursive: true });
  await writeFile(join(view, "objects", "info", "alternates"), `${objects}\n`);
  await writeFile(join(view, "refs", "heads", "agent"), `${head}\n`);
  const shallow = await shallowCommits(gitDir);
  if (shallow.length > 0) await writeFile(join(view, "shallow"), shallow.map((sha) => `${sha}\n`).join(""));
  return true;
}

async function looseRef(gitDir: string, name: string): Promise<string | null> {
  const parts = name.split("/");
  for (let depth = 1; depth < parts.length; depth++) {
    if (!(await isRealDirectory(join(gitDir, ...parts.slice(0, depth))))) return null;
  }
  const content = await readSmallFile(join(gitDir, name), MAX_REF_BYTES);
  return content?.toString("latin1").trim() || null;
}

async function packedRef(gitDir: string, name: string): Promise<string | null> {
  const content = await readSmallFile(join(gitDir, "packed-refs"), MAX_PACKED_REFS_BYTES);
  const wanted = Buffer.from(name, "latin1").toString("latin1");
  for (const line of content?.toString("latin1").split("\n") ?? []) {
    const [sha, ref] = line.split(" ");
    if (ref === wanted && sha !== undefined && SHA.test(sha)) return sha;
  }
  return null;
}

function isPlainRefName(name: string): boolean {
  return !name.includes("\0") && name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Only directories and regular files, and no word of another store. */
async function isPlainStore(directory: string, depth: number): Promise<boolean> {
  if (depth > MAX_STORE_DEPTH) return false;
  const entries: Dirent[] = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) {
      if (!(await isPlainStore(join(directory, entry.name), depth + 1))) return false;
    } else if (!entry.isFile() || entry.name.endsWith("alternates")) {
      return false;
    }
  }
  return true;
}

async function shallowCommits(gitDir: string): Promise<string[]> {
  const content = await readSmallFile(join(gitDir, "shallow"), MAX_SHALLOW_BYTES);
  return (content?.toString("latin1").split("\n") ?? []).filter((line) => SHA.test(line));
}
