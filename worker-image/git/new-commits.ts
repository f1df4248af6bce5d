/** What a push would bring to the remote: which objects, of which sizes, and whether one holds a secret. */
import { Buffer } from "node:buffer";
import { secretForms } from "../masking.ts";
import { RunFailure } from "../run-failure.ts";
import type { NamedSecret } from "../run-secrets.ts";
import { MAX_FILE_BYTES } from "./leftovers.ts";
import { git, type GitContext, startGit } from "./run-git.ts";

const MAX_CHANGED_FILES = 1000;
const MAX_CHANGED_BYTES = 2 ** 20;

/**
 * Looks at everything that is reachable from `head` and from no branch of the remote: messages, names
 * of files, contents, also what a later commit removes again.
 * @throws RunFailure (`secret_leaked`, `push_rejected`) with a sentence; GitError
 */
export async function demandCleanCommits(
  context: GitContext,
  { head, secrets }: { head: string; secrets: readonly NamedSecret[] },
): Promise<void> {
  const listed = await git(context, ["rev-list", "--objects", head, "--not", "--remotes=origin"], {
    encoding: "latin1",
  });
  const objects = listed.split("\n").filter((line) => line !== "");
  const ids = `${objects.map((line) => line.split(" ", 1)[0]).join("\n")}\n`;
  if (objects.length === 0) return;
  await demandReasonableObjects(context, objects, ids);

  const finder = secretFinder(secrets);
  // Names with their directories: within the trees each directory stands alone.
  const inName = finder(Buffer.from(listed, "latin1"));
  const leaked = inName ?? (await findInObjects(context, ids, secretFinder(secrets)));
  if (leaked === null) return;
  throw new RunFailure("secret_leaked", `A new commit contains ${leaked}; nothing was pushed. Replace that secret.`);
}

/** The paths that differ between two commits, at most 1,000; `from` null: all of `to`. */
export async function changedFiles(
  context: GitContext,
  { from, to }: { from: string | null; to: string },
): Promise<string[]> {
  const args =
    from === null
      ? ["ls-tree", "-r", "-z", "--name-only", to]
      : ["diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to];
  const paths = (await git(context, args)).split("\0").filter((path) => path !== "");
  let bytes = 0;
  return paths.slice(0, MAX_CHANGED_FILES).filter((path) => (bytes += Buffer.byteLength(path)) <= MAX_CHANGED_BYTES);
}

async function demandReasonableObjects(context: GitContext, objects: readonly string[], ids: string): Promise<void> {
  const sizes = await git(context, ["cat-file", "--batch-check=%(objectsize)"], { input: ids });
  const at = sizes.split("\n").findIndex((size) => Number(size) > MAX_FILE_BYTES);
  if (at === -1) return;
  const name = Buffer.from(objects[at]?.split(" ").slice(1).join(" ") ?? "", "latin1").toString("utf8");
  throw new RunFailure(
    "push_rejected",
    `The agent committed the file ${name || "without a name"}, which is larger than ${MAX_FILE_BYTES / 2 ** 20} MiB; such files are not pushed.`,
  );
}

async function findInObjects(context: GitContext, ids: string, find: Finder): Promise<string | null> {
  const running = startGit(context, ["cat-file", "--batch", "--buffer"], ids);
  for await (const chunk of running.stdout as AsyncIterable<Buffer>) {
    const found = find(chunk);
    if (found === null) continue;
    running.stop();
    return found;
  }
  const end = await running.ended;
  if (end.exitCode !== 0)
    throw new RunFailure("push_rejected", "The new commits cannot be read, so nothing was pushed.");
  return null;
}

/** Takes a stream chunk by chunk; the name of the first secret that turns up in it. */
type Finder = (chunk: Buffer) => string | null;

function secretFinder(secrets: readonly NamedSecret[]): Finder {
  const needles = secrets.flatMap(({ name, value }) =>
    secretForms([value]).map((form) => ({ name, form: Buffer.from(form) })),
  );
  const overlap = Math.max(0, ...needles.map(({ form }) => form.length - 1));
  let held: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const text = Buffer.concat([held, chunk]);
    held = text.subarray(Math.max(0, text.length - overlap));
    return needles.find(({ form }) => text.includes(form))?.name ?? null;
  };
}
