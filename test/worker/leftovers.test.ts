import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { commitLeftovers } from "../../worker-image/git/leftovers.ts";
import { localGit } from "../../worker-image/git/remote-access.ts";
import { RunFailure } from "../../worker-image/run-failure.ts";

const NOBODY = 65_534;

test("a directory that cannot be looked into is refused: what lies in it is not taken for deleted", async () => {
  const directory = mkdtempSync(join(tmpdir(), "myzel-leftovers-"));
  const workTree = join(directory, "repo");
  const closed = join(workTree, "closed");
  const isRoot = process.geteuid?.() === 0;
  try {
    mkdirSync(closed, { recursive: true });
    writeFileSync(join(closed, "kept.txt"), "1");
    const git = (...words: string[]): string =>
      execFileSync("git", ["-C", workTree, "-c", "user.name=a", "-c", "user.email=a@b", ...words], {
        encoding: "utf8",
      }).trim();
    git("init", "--quiet");
    git("add", "--all");
    git("commit", "--quiet", "--message", "Start");
    const parent = git("rev-parse", "HEAD");
    if (isRoot) execFileSync("chown", ["--recursive", String(NOBODY), directory]);
    chmodSync(closed, 0);
    // root may look into everything
    if (isRoot) process.seteuid?.(NOBODY);
    const { environment, ...context } = localGit(process.env, { home: directory, signal: AbortSignal.timeout(60_000) });
    const leftovers = { workTree, index: join(directory, "index"), parent, sparse: false, message: "m", author: "a" };
    await assert.rejects(
      commitLeftovers(
        { ...context, environment: { ...environment, GIT_DIR: join(workTree, ".git") } },
        { ...leftovers, date_seconds: 0 },
      ),
      (error) =>
        error instanceof RunFailure &&
        error.code === "push_rejected" &&
        error.message === "The agent left closed/kept.txt where it cannot be read (EACCES), so nothing is pushed.",
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(closed, 0o700);
    if (isRoot) chownSync(directory, 0, 0);
    rmSync(directory, { recursive: true, force: true });
  }
});
