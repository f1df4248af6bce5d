/** `myzel work`: what an attempt left unpushed, as a file that git fetches from. */
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import type { Database } from "../../store/connection.ts";
import { NotFoundError, RefusedError } from "../../store/errors.ts";
import { findTask } from "../../store/find-task.ts";
import { keptBundle, keptWork } from "../../store/work.ts";
import type { KeptWork } from "../../store/work.ts";
import { withDatabase } from "../connect.ts";
import { positiveInteger } from "../option-values.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { byteSize, localTime, oneLine, shortId, table } from "../terminal/terminal-text.ts";

interface Options {
  output?: string;
  attempt?: number;
  list?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument("<task>", "id, its beginning or end, or @last")
    .option("-o, --output <file>", "where to write it (default: myzel-<id>.bundle); an existing file stays as it is")
    .option("--attempt <n>", "of this attempt (default: the newest that left commits)", positiveInteger)
    .option("--list", "only say what is kept, of every attempt")
    .option("--json", "what is kept as an object, with --list as one a line")
    .addHelpText(
      "after",
      `
What a run did not push (it reached a limit, failed its checks, was stopped …) is kept as a git bundle, together with
the agent's session. Take the commits from the file, or let the next attempt go on from them.

Examples:
  myzel work 3f2a --list
  myzel work @last --output work.bundle
  myzel retry 3f2a --continue`,
    )
    .action(async (given: string, options: Options) => {
      await withDatabase(command, async (database) => {
        const id = await findTask(database, given);
        const kept = await keptWork(database, id);
        if (options.list === true) list(kept, options.json === true);
        else await writeOne(database, { id, work: choose(kept, options.attempt), options });
      });
    });
  addSettings(command);
}

function list(kept: readonly KeptWork[], json: boolean): void {
  if (json) for (const work of kept) sayJson(work);
  else if (kept.length === 0) say("No attempt of this task has left anything.");
  else say(table(["ATTEMPT", "ENDED AS", "KEPT", "BRANCH", "COMMIT", "SIZE", "SESSION"], kept.map(row)));
}

function row(work: KeptWork): string[] {
  return [
    String(work.attempt),
    work.failure_code ?? "",
    localTime(work.stored_at),
    oneLine(work.branch ?? "", 40),
    work.head_sha?.slice(0, 10) ?? "none",
    work.bundle_bytes === 0 ? "" : byteSize(work.bundle_bytes),
    work.has_session ? "yes" : "no",
  ];
}

/** @throws NotFoundError */
function choose(kept: readonly KeptWork[], attempt: number | undefined): KeptWork {
  const candidates = attempt === undefined ? kept : kept.filter((work) => work.attempt === attempt);
  const [newest] = candidates;
  if (newest === undefined) {
    throw new NotFoundError(
      attempt === undefined
        ? "No attempt of this task has left anything that is kept."
        : `Nothing that attempt ${attempt} of this task left is kept.`,
    );
  }
  const work = candidates.find(({ head_sha }) => head_sha !== null);
  if (work !== undefined) return work;
  throw new NotFoundError(
    `Attempt ${newest.attempt} left no commits, only its session: "myzel retry --continue" goes on with that.`,
  );
}

async function writeOne(
  database: Database,
  { id, work, options }: { id: string; work: KeptWork; options: Options },
): Promise<void> {
  const bundle = await keptBundle(database, work.run_id);
  if (bundle === null) throw new NotFoundError(`What attempt ${work.attempt} left was pruned meanwhile.`);
  const file = options.output ?? `myzel-${shortId(id)}.bundle`;
  await writeFile(file, bundle, { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    throw new RefusedError(
      error.code === "EEXIST"
        ? `The file ${file} exists: name another one with --output.`
        : `The file ${file} cannot be written (${error.code ?? error.message}).`,
      { cause: error },
    );
  });
  if (options.json === true) sayJson({ ...work, file });
  else say(sentences(id, { work, bundle, file }));
}

function sentences(id: string, { work, bundle, file }: { work: KeptWork; bundle: Buffer; file: string }): string {
  const branch = work.branch ?? "";
  const begins = prerequisites(bundle).map((sha) => `Your clone must have the commit ${sha}, where it begins.`);
  return [
    `${file}: branch ${branch} up to ${work.head_sha ?? ""}, as attempt ${work.attempt} left it (${byteSize(work.bundle_bytes)}).`,
    "In a clone of the repository, take it with:",
    `  git fetch ${quoted(file)} ${quoted(`${branch}:${branch}`)}`,
    ...begins,
    `Or let the task go on from there: myzel retry ${shortId(id)} --continue`,
  ].join("\n");
}

/** The commits that a bundle goes on from, as its header names them: see gitformat-bundle(5). */
function prerequisites(bundle: Buffer): string[] {
  const header = bundle.toString("latin1", 0, Math.max(0, bundle.indexOf("\n\n")));
  return [...header.matchAll(/^-([0-9a-f]{40,64})\b/gm)].map(([, sha]) => sha ?? "");
}

function quoted(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
