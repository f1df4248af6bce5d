/** `work` and `retry --continue`: what an attempt left, for people. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bareRemote, gitAsSomebody } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { commandLine } from "./command-line.ts";
import { myzel } from "./run-myzel.ts";

describe("kept work on the command line", () => {
  const cli = commandLine();
  let remote: BareRemote;
  let task: string;
  let head: string;
  let base: string;
  before(async () => {
    remote = bareRemote();
    task = await cli.db.insert({ addressee: "a", prompt: "p", repo_url: remote.url, branch: "it's/work" });
  });
  after(async () => {
    remote.remove();
  });

  const { run } = cli;

  /** A run that ends with this code, having left a bundle of one new commit, or a session alone. */
  async function attempt(code: string, bundled: boolean): Promise<void> {
    await cli.db.claimAll();
    const live = await cli.db.liveRun(task);
    const clone = join(cli.directory, `clone-${code}`);
    gitAsSomebody(cli.directory, "clone", "--quiet", remote.path, clone);
    gitAsSomebody(clone, "checkout", "--quiet", "-b", "it's/work");
    base = gitAsSomebody(clone, "rev-parse", "HEAD");
    gitAsSomebody(clone, "commit", "--quiet", "--allow-empty", "-m", code);
    gitAsSomebody(clone, "bundle", "create", "--quiet", "../made.bundle", "it's/work", "--not", "--remotes");
    if (bundled) head = gitAsSomebody(clone, "rev-parse", "HEAD");
    // Of a Green's work the commit that its plan began from stands there: people need the one that git does.
    const commits = bundled
      ? ["it's/work", "5".repeat(40), head, readFileSync(join(cli.directory, "made.bundle"))]
      : [];
    await cli.db.pool.query(
      `insert into run_work (run_id, branch, base_sha, head_sha, bundle, session_id, session)
       values ($1, $2, $3, $4, $5, gen_random_uuid(), '\\x00')`,
      [live?.id, ...(bundled ? commits : [null, null, null, null])],
    );
    await cli.db.settle(task, { action: "complete", success: false, failure_code: code, error: "x", work_kept: true });
  }

  it("nothing is kept of a task that never ran", async () => {
    const ran = await myzel(["work", task], { env: cli.env });
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /No attempt of this task has left anything that is kept\./);
    assert.match(await run("work", task, "--list"), /No attempt of this task has left anything\./);
    const refused = await myzel(["retry", task, "--continue"], { env: cli.env });
    assert.match(refused.stderr, /No attempt of this task has left any work to go on from/);
  });

  it("the newest bundle is written, and the command that is printed fetches it", async () => {
    await attempt("max_turns", true);
    const said = await run("work", task, "--output", "work.bundle");
    assert.match(said, new RegExp(`work\\.bundle: branch it's/work up to ${head}, as attempt 1 left it`));
    assert.match(said, new RegExp(`must have the commit ${base}`));
    assert.match(said, /myzel retry \w+ --continue/);
    const shown = new RegExp(
      `Kept of attempt 1, not pushed\n {2}Commits of branch it's/work up to ${head.slice(0, 10)}: myzel work (\\w{8})\n {2}Go on from there: myzel retry \\1 --continue\n`,
    );
    assert.match(await run("show", task), shown);
    const command = /^ {2}git fetch (.*)$/m.exec(said)?.[1];
    assert.equal(command, `work.bundle 'it'\\''s/work:it'\\''s/work'`);
    gitAsSomebody(cli.directory, "clone", "--quiet", remote.path, "mine");
    gitAsSomebody(join(cli.directory, "mine"), "fetch", "--quiet", "../work.bundle", "it's/work:it's/work");
    assert.equal(gitAsSomebody(join(cli.directory, "mine"), "rev-parse", "it's/work"), head);
  });

  it("an existing file stays as it is", async () => {
    writeFileSync(join(cli.directory, "precious"), "mine");
    const ran = await myzel(["work", task, "--output", "precious"], { env: cli.env, cwd: cli.directory });
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /The file precious exists: name another one with --output\./);
    assert.equal(readFileSync(join(cli.directory, "precious"), "utf8"), "mine");
  });

  it("retry --continue names the newest attempt that left something; a plain retry none", async () => {
    const continued = async () =>
      (await cli.db.pool.query("select continue_run from task_options where task_id = $1", [task])).rows[0]
        ?.continue_run;
    await run("retry", task, "--continue", "--note", "Take your time.");
    const { rows } = await cli.db.pool.query("select id from runs where task_id = $1 order by attempt", [task]);
    assert.equal(await continued(), rows[0].id);
    await attempt("checks_failed", false);
    await run("retry", task, "--continue");
    const newest = await cli.db.pool.query("select id from runs where task_id = $1 order by attempt desc", [task]);
    assert.equal(await continued(), newest.rows[0].id);
    await run("retry", task);
    assert.equal(await continued(), null);
  });

  it("--list says what every attempt left; --json is for programs; an attempt without commits is no file", async () => {
    const listed = await run("work", task, "--list");
    assert.match(listed, /ATTEMPT +ENDED AS/);
    assert.match(listed, /2 +checks_failed .* none +yes\n1 +max_turns .*it's\/work +\w{10} +\d+ bytes +yes/);
    const lines = (await run("work", task, "--list", "--json"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map((line) => [line.attempt, line.head_sha]),
      [
        [2, null],
        [1, head],
      ],
    );
    const written = JSON.parse(await run("work", task, "--json", "-o", "again.bundle"));
    assert.deepEqual([written.file, written.attempt, written.head_sha], ["again.bundle", 1, head]);
    const ran = await myzel(["work", task, "--attempt", "2"], { env: cli.env });
    assert.match(ran.stderr, /Attempt 2 left no commits, only its session/);
  });
});
