/** Help, wrong usage, wrong settings, unreachable databases: exit codes and sentences. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { COMMANDS } from "../../engine/cli/commands.ts";
import { describeSettings } from "../../engine/config.ts";
import { emptyDatabase } from "../support/postgres.ts";
import { myzel, ROOT, startProgram, temporaryDirectory } from "./run-myzel.ts";
import type { Ran } from "./run-myzel.ts";

/** What every failure of a person's making looks like. */
function assertOneSentence(ran: Ran, code: number): void {
  assert.equal(ran.code, code, ran.stderr);
  assert.match(ran.stderr, /^myzel: \S/);
  assert.doesNotMatch(ran.stderr, /\n\s+at /, "no stack");
  assert.equal(ran.stdout, "");
}

describe("usage of the command line", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let env: Record<string, string>;
  before(async () => {
    directory = await temporaryDirectory();
    env = { MYZEL_DATA_DIR: directory.path };
  });
  after(() => directory.remove());

  it("help is printed with exit code 0 and names every command; without a command the code is 2", async () => {
    const help = await myzel(["--help"]);
    assert.equal(help.code, 0);
    for (const name of Object.keys(COMMANDS)) assert.match(help.stdout, new RegExp(`^  ${name}\\b`, "m"));
    assert.equal((await myzel([])).code, 2);
    assert.match((await myzel(["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it("help of every command shows examples, and `help X` is the same", async () => {
    for (const name of Object.keys(COMMANDS)) {
      const help = await myzel([name, "--help"]);
      assert.equal(help.code, 0, name);
      assert.match(help.stdout, /^Examples?:\n {2}(\w+=\S+ )*\S*myzel/m, name);
    }
    for (const words of [["tasks"], ["epic", "file"]])
      assert.equal((await myzel(["help", ...words])).stdout, (await myzel([...words, "--help"])).stdout);
  });

  it("commands below a command have a summary, help with examples, and a line in the help above", async () => {
    for (const name of ["epic", "project"]) {
      const { stdout } = await myzel([name, "--help"]);
      const below = [...stdout.matchAll(/^ {2}(\w+)(?:\|\w+)? (?:\[\S+\] )?.* {2}\S/gm)].map((match) => match[1] ?? "");
      assert.ok(below.length >= 4, stdout);
      for (const command of below) {
        const help = await myzel([name, command, "--help"]);
        assert.equal(help.code, 0, help.stderr);
        assert.match(help.stdout, new RegExp(`^Examples?:\n {2}myzel ${name} ${command}`, "m"), command);
        assert.match(help.stdout, /^Usage: .*\n\n[a-z]/, `${command} says what it does`);
      }
      assert.equal((await myzel([name], { env })).code, 2);
    }
  });

  it("every setting but the secret token is a flag of engine", async () => {
    const { stdout } = await myzel(["engine", "--help"]);
    for (const { name } of describeSettings()) {
      const flag = `--${name.replace("MYZEL_", "").toLowerCase().replaceAll("_", "-")} `;
      assert.equal(stdout.includes(flag), name !== "CLAUDE_CODE_OAUTH_TOKEN", flag);
    }
  });

  it("an unknown command, an unknown option, a missing or a surplus argument and a wrong choice are wrong usage", async () => {
    const wrong = [
      ["tusks"],
      ["tasks", "--colour"],
      ["show"],
      ["show", "a", "b"],
      ["tasks", "--status", "done"],
      ["tasks", "--limit", "0"],
      ["completion", "powershell"],
      ["epic", "fyle"],
      ["epic", "show"],
      ["project", "add"],
      ["answer"],
    ];
    for (const args of wrong) assertOneSentence(await myzel(args, { env }), 2);
    assert.match((await myzel(["tusks"], { env })).stderr, /Did you mean tasks/);
  });

  it("after a mistake the help of that very command is named; version is --version, as in other tools", async () => {
    const ran = await myzel(["epic", "list", "--al"]);
    assert.match(ran.stderr, /\(see "myzel epic list --help"\)\n$/);
    assert.match((await myzel(["taks"])).stderr, /Did you mean tasks\?\)\n\(see "myzel --help"\)\n$/);
    const version = await myzel(["version"]);
    assert.deepEqual(version, await myzel(["--version"]));
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it("all wrong settings are reported together, whether flag or variable", async () => {
    const ran = await myzel(["engine", "--max-live-runs", "0"], {
      env: { ...env, MYZEL_POLL_INTERVAL: "soon", DATABASE_URL: "mysql://x" },
    });
    assertOneSentence(ran, 2);
    for (const name of ["MYZEL_MAX_LIVE_RUNS", "MYZEL_POLL_INTERVAL", "DATABASE_URL"])
      assert.match(ran.stderr, new RegExp(name));
  });

  it(
    "a user that the system does not know is told to set a directory",
    { skip: process.getuid?.() !== 0 && "only root may become another user" },
    async () => {
      const nobody = (settings: Record<string, string>) => {
        const words = ["--reuid=54321", "--regid=54321", "--clear-groups", "env", "-u", "HOME"];
        return startProgram("setpriv", [...words, join(ROOT, "bin", "myzel"), "tasks"], { env: settings }).ended;
      };
      const homeless = await nobody({});
      assertOneSentence(homeless, 2);
      assert.match(homeless.stderr, /MYZEL_DATA_DIR: your user has no home directory/);
      assertOneSentence(await nobody({ MYZEL_DATA_DIR: "/nonexistent" }), 3);
    },
  );

  it("without any database the sentence says what to run", async () => {
    const ran = await myzel(["tasks"], { env });
    assertOneSentence(ran, 3);
    assert.match(ran.stderr, /Run myzel up/);
  });

  it("an unreachable database is exit code 3, and its password is not shown", async () => {
    const url = "postgresql://someone:hush-hush@127.0.0.1:1/myzel";
    for (const args of [["tasks"], ["why", "3f2a"], ["enqueue", "x"], ["migrate"]]) {
      const ran = await myzel(args, { env: { ...env, DATABASE_URL: url } });
      assertOneSentence(ran, 3);
      assert.doesNotMatch(ran.stderr, /hush/);
    }
    assert.equal((await myzel(["tasks", "--database-url", url], { env })).code, 3);
  });

  it("a URL that cannot be read is a sentence that does not repeat it", async () => {
    const ran = await myzel(["tasks"], { env: { ...env, DATABASE_URL: "postgresql://user:hush@host:port/db" } });
    assertOneSentence(ran, 2);
    assert.doesNotMatch(ran.stderr, /hush/);
  });

  it("a database without the schema says to migrate; a refused login and a missing database are exit code 3", async () => {
    const database = await emptyDatabase();
    try {
      const ran = await myzel(["tasks"], { env: { ...env, DATABASE_URL: database.adminUrl } });
      assertOneSentence(ran, 2);
      assert.match(ran.stderr, /run myzel migrate/);
      const wrongPassword = new URL(database.adminUrl);
      wrongPassword.password = "wrong";
      assertOneSentence(await myzel(["tasks"], { env: { ...env, DATABASE_URL: wrongPassword.href } }), 3);
      const missing = new URL(database.adminUrl);
      missing.pathname = "/no_such_database";
      assertOneSentence(await myzel(["tasks"], { env: { ...env, DATABASE_URL: missing.href } }), 3);
    } finally {
      await database.close();
    }
  });
});
