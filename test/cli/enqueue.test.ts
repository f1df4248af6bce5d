/** `myzel enqueue`: what it files, from where it takes the prompt, what it refuses. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { myzel, temporaryDirectory } from "./run-myzel.ts";
import type { RunOptions } from "./run-myzel.ts";

describe("myzel enqueue", () => {
  let database: TestDatabase;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  before(async () => {
    database = await testDatabase();
    directory = await temporaryDirectory();
  });
  after(async () => {
    await database.close();
    await directory.remove();
  });

  const run = (args: readonly string[], options: RunOptions = {}) =>
    myzel(["enqueue", ...args], {
      cwd: directory.path,
      ...options,
      env: { DATABASE_URL: database.url("operator"), MYZEL_DATA_DIR: directory.path },
    });
  const filed = async (args: readonly string[], options: RunOptions = {}) => {
    const ran = await run(["--json", ...args], options);
    assert.equal(ran.code, 0, ran.stderr);
    return JSON.parse(ran.stdout);
  };
  const refused = async (args: readonly string[], sentence: RegExp, options: RunOptions = {}) => {
    const before = await count();
    const ran = await run(args, options);
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, /^myzel: /);
    assert.match(ran.stderr, sentence);
    assert.equal(await count(), before, "nothing is stored");
  };
  const count = async () => Number((await database.pool.query("select count(*) from tasks")).rows[0].count);

  it("files a task for a worker of its own, prints its row with --json and says what it waits for without", async () => {
    const task = await filed(["Fix the bug"]);
    assert.deepEqual(
      [task.prompt, task.status, task.repo_url, task.branch, task.result],
      ["Fix the bug", "pending", null, null, null],
    );
    assert.match(task.addressee, /^worker-[0-9a-f-]{36}$/);
    assert.match(task.created_at, /^\d{4}-\d\d-\d\dT/);
    const ran = await run(["Fix the bug", "--repo", "https://host/app.git"]);
    assert.match(ran.stdout, /branch +myzel\/[0-9a-f-]{36}/);
    assert.match(ran.stdout, /No engine is running/);
    assert.match((await run(["Fix it"])).stderr, /^Note: you are in no git checkout, .*--repo names a repository\.\n$/);
    assert.equal((await run(["Fix it", "--no-repo"])).stderr, "");
  });

  it("passes every option on to the task and its options", async () => {
    const task = await filed([
      ...["p", "--to", "project-mgr-x", "--repo", "https://host/app.git", "--branch", "b", "--base", "develop"],
      ...["--profile", "red", "--model", "opus", "--effort", "high", "--key", "k1", "--kind", "review"],
      ...["--created-by", "blue"],
    ]);
    assert.deepEqual(
      [task.addressee, task.repo_url, task.branch, task.created_by],
      ["project-mgr-x", "https://host/app.git", "b", "blue"],
    );
    const { rows } = await database.pool.query(
      "select task_id, profile, model, effort, base_branch, idempotency_key, kind from task_options where task_id = $1",
      [task.id],
    );
    assert.deepEqual(rows, [
      {
        task_id: task.id,
        profile: "red",
        model: "opus",
        effort: "high",
        base_branch: "develop",
        idempotency_key: "k1",
        kind: "review",
      },
    ]);
  });

  it("the same key files the task once, and says so", async () => {
    const first = await filed(["p", "--key", "once"]);
    assert.equal((await filed(["p", "--key", "once"])).id, first.id);
    assert.match((await run(["p", "--key", "once"])).stdout, /was filed with this key before/);
  });

  it("takes the prompt from a file, from piped standard input and from -, unchanged", async () => {
    const text = "Zeile 1\n\n  /clear @/etc/passwd \u{1f344}\tend\n";
    const path = join(directory.path, "prompt.md");
    await writeFile(path, text);
    assert.equal((await filed(["--file", path])).prompt, text);
    assert.equal((await filed([], { input: text })).prompt, text);
    assert.equal((await filed(["-"], { input: text })).prompt, text);
    assert.equal((await filed(["--", "-x"])).prompt, "-x");
  });

  it("refuses an empty prompt, two prompts, an unreadable file", async () => {
    await refused([], /prompt is empty/);
    await refused(["  \n"], /prompt is empty/);
    await refused(["a", "--file", "b"], /given twice/);
    await refused(["--file", "no-such-file"], /no-such-file: it does not exist/);
    await refused(["--file", directory.path], /it is a directory/);
  });

  it("a prompt of exactly 1 MiB is taken, one byte more or 10 MB are refused", async () => {
    assert.equal((await filed([], { input: "x".repeat(1024 * 1024) })).prompt.length, 1024 * 1024);
    await refused([], /longer than 1 MiB/, { input: "x".repeat(1024 * 1024 + 1) });
    await refused([], /longer than 1 MiB/, { input: "x".repeat(10_000_000) });
  });

  it("NUL and bytes that are no UTF-8 are refused with the place where they stand", async () => {
    await refused([], /NUL byte at offset 3 of standard input/, { input: "abc\0def" });
    await refused([], /byte at offset 5 of standard input/, {
      input: Buffer.from([0x61, 0xc3, 0xa4, 0x62, 0x63, 0xff, 0x64]),
    });
    await refused([], /byte at offset 1 of standard input/, { input: Buffer.from([0x61, 0xc3]) });
    const path = join(directory.path, "latin1.txt");
    await writeFile(path, Buffer.from("gr\xfc\xdfe", "latin1"));
    await refused(["--file", path], /byte at offset 2 of the file .*latin1\.txt/);
  });

  it("what the database refuses comes as its sentence: addressee, repository, branch, base, profile, key", async () => {
    await refused(["p", "--to", " "], /addressee is empty/);
    await refused(["p", "--to", "x".repeat(201)], /longer than 200/);
    await refused(["p", "--repo", "ext::sh -c id"], /repo_url/);
    await refused(["p", "--repo=-upload-pack"], /begins with "-"/);
    await refused(["p", "--repo", "https://user:hush@host/x.git"], /carries a user name or token/);
    await refused(["p", "--repo", "https://host/x.git", "--branch", "a..b"], /not a name that git accepts/);
    await refused(["p", "--repo", "https://host/x.git", "--base", "a b"], /not a name that git accepts/);
    await refused(["p", "--profile", "purple"], /There is no profile "purple"/);
    await refused(["p", "--effort", "heroic"], /Allowed choices/);
    await refused(["p", "--branch", "b"], /need a repository/);
    await refused(["p", "--no-repo", "--base", "b"], /leave out --no-repo/);
  });

  it("--dry-run prints the row, checks it, and stores nothing", async () => {
    const before = await count();
    const row = await filed(["p", "--to", "a", "--dry-run"]);
    assert.deepEqual([row.addressee, row.prompt, row.status, "id" in row], ["a", "p", "pending", false]);
    assert.match(
      (await run(["p", "--dry-run", "--repo", "https://host/x"])).stdout,
      /Nothing is stored[^]*myzel\/<task id>/,
    );
    await refused(["p", "--dry-run", "--profile", "purple"], /no profile/);
    assert.equal(await count(), before);
  });
});
