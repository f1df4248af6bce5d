/** Completion: the scripts parse, and what they offer fits what is being typed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { findProgram } from "../../engine/cli/find-program.ts";
import { testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { join } from "node:path";
import { myzel, ROOT, temporaryDirectory } from "./run-myzel.ts";

describe("shell completion", () => {
  let database: TestDatabase;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let env: Record<string, string>;
  before(async () => {
    database = await testDatabase();
    directory = await temporaryDirectory();
    env = { DATABASE_URL: database.url("operator"), MYZEL_DATA_DIR: directory.path };
  });
  after(async () => {
    await database.close();
    await directory.remove();
  });
  const complete = async (...words: string[]) => {
    const ran = await myzel(["__complete", ...words], { env });
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
    return ran.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split("\t")[0]);
  };

  for (const shell of ["bash", "zsh", "fish"]) {
    it(
      `the script for ${shell} parses`,
      { skip: findProgram(shell) === null && `${shell} is not installed` },
      async () => {
        // As a file: fish does not read the socket that a child of Node has for its standard input.
        const file = join(directory.path, `completion.${shell}`);
        writeFileSync(file, (await myzel(["completion", shell])).stdout);
        const checked = spawnSync(shell, ["-n", file], { encoding: "utf8" });
        assert.deepEqual([checked.status, checked.stderr], [0, ""]);
      },
    );
  }

  it("the script for bash completes in a real bash", async () => {
    const { stdout } = await myzel(["completion", "bash"]);
    const script = `${stdout}\nCOMP_WORDS=(myzel tasks --stat)\nCOMP_CWORD=2\n_myzel\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
    const ran = spawnSync("bash", ["--norc", "-c", script], {
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
      env: { ...env, PATH: `${join(ROOT, "bin")}:${process.env["PATH"]}` },
    });
    assert.deepEqual([ran.stdout, ran.stderr], ["--status\n", ""]);
  });

  it("offers commands, options, values and task ids, each by what is typed", async () => {
    const { rows } = await database.pool.query(
      "insert into tasks (addressee, prompt) values ('a', E'first\\nline') returning id",
    );
    const short = rows[0].id.slice(-8);
    assert.deepEqual(await complete("p"), ["pause", "project", "prune", "psql"]);
    assert.ok((await complete("")).includes("enqueue"));
    assert.deepEqual(await complete("enqueue", "--dr"), ["--dry-run"]);
    assert.deepEqual(await complete("tasks", "--status", ""), [
      "pending",
      "running",
      "completed",
      "succeeded",
      "failed",
    ]);
    assert.deepEqual(await complete("completion", "z"), ["zsh"]);
    assert.deepEqual(await complete("show", ""), [short, "@last"]);
    assert.deepEqual(await complete("inspect", short.slice(0, 2)), [short]);
    assert.deepEqual(await complete("logs", "-f", "@"), ["@last"]);
    assert.deepEqual(await complete("stop", "--reason", "x", "@"), ["@last"]);
    assert.deepEqual(await complete("show", short, ""), []);
    assert.deepEqual(await complete("stop", short, "@"), ["@last"]);
    assert.deepEqual(await complete("tasks", "--status=p"), ["--status=pending"]);
    assert.deepEqual(await complete("tasks", "--status", "=", "p"), ["pending"]);
    assert.deepEqual(await complete("show", "@", "l"), ["@last"]);
    assert.deepEqual(await complete("nonsense", ""), []);
  });

  it("completes commands below commands, epics, projects and questions", async () => {
    await database.pool.query("insert into projects (name, repo_url) values ('webapp', '/srv/webapp.git')");
    const { rows } = await database.pool.query(
      "select id from file_epic('project-mgr-webapp', 'Ship it', '/srv/webapp.git')",
    );
    const epic = rows[0].id.slice(-8);
    const asked = await database.pool.query(
      "insert into tasks (addressee, prompt) values ('blue', 'Eh?') returning id",
    );
    assert.deepEqual(await complete("epic", ""), ["file", "list", "show", "stop"]);
    assert.deepEqual(await complete("project", "pa"), ["pause"]);
    assert.deepEqual(await complete("epic", "show", ""), [epic, "@last"]);
    assert.deepEqual(await complete("epic", "show", "--wa"), ["--watch"]);
    assert.deepEqual(await complete("epic", "file", "--project", ""), ["webapp"]);
    assert.deepEqual(await complete("project", "set", "we"), ["webapp"]);
    assert.deepEqual(await complete("project", "set", "webapp", "--merge-policy", "a"), ["approval", "auto"]);
    assert.deepEqual(await complete("answer", ""), [asked.rows[0].id.slice(-8), "@last"]);
    assert.deepEqual(await complete("epic", "nonsense", ""), []);
  });

  it("says nothing where the database cannot be asked", async () => {
    const ran = await myzel(["__complete", "show", ""], {
      env: { ...env, DATABASE_URL: "postgresql://x@127.0.0.1:1/x" },
    });
    assert.deepEqual(ran, { code: 0, stdout: "", stderr: "" });
  });
});
