/** `myzel login`: where the token goes, what is refused, and that it is never shown. */
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { findProgram } from "../../engine/cli/find-program.ts";
import { eventually } from "../support/waiting.ts";
import { myzel, ROOT, startProgram, temporaryDirectory } from "./run-myzel.ts";

const TOKEN = "sk-ant-oat01-nobody-0123456789";

describe("myzel login", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let path: string;
  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, "data", "claude-token");
  });
  afterEach(() => directory.remove());
  const run = async (args: readonly string[], input = "") => {
    const ran = await myzel(["login", ...args], { input, env: { MYZEL_DATA_DIR: join(directory.path, "data") } });
    assert.ok(!`${ran.stdout}${ran.stderr}`.includes("0123456789"), "the token is not shown");
    return ran;
  };

  it("stores the token from standard input in a file of mode 0600, and makes the data directory", async () => {
    const ran = await run([], `  ${TOKEN}\n`);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(await readFile(path, "utf8"), `${TOKEN}\n`);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(directory.path, "data"))).mode & 0o066, 0);
    await run([], `${TOKEN}-newer`);
    assert.equal(await readFile(path, "utf8"), `${TOKEN}-newer\n`);
  });

  it("--status says whether there is one, --remove takes it away", async () => {
    assert.match((await run(["--status"])).stdout, /No token is stored/);
    await run([], TOKEN);
    assert.match((await run(["--status"])).stdout, /A token is stored/);
    const json = async (...args: string[]) => JSON.parse((await run([...args, "--json"], TOKEN)).stdout);
    assert.deepEqual(await json("--status"), { file: path, stored: true, variable: false });
    assert.deepEqual(await json("--remove"), { file: path, stored: false, removed: true });
    assert.deepEqual(await json(), { file: path, stored: true });
    assert.equal((await run(["--status", "--remove"])).code, 2);
    assert.match((await run(["--remove"])).stdout, /is removed/);
    assert.match((await run(["--remove"])).stdout, /No token was stored/);
    await assert.rejects(stat(path));
  });

  it("refuses an API key, an empty input and what is no token; warns of one of another shape", async () => {
    const key = await run([], "sk-ant-api03-0123456789");
    assert.deepEqual([key.code, /would bill the API/.test(key.stderr)], [2, true]);
    assert.equal((await run([], " \n")).code, 2);
    assert.equal((await run([], "two 0123456789 words")).code, 2);
    await assert.rejects(stat(path));
    const odd = await run([], "other-0123456789");
    assert.deepEqual([odd.code, /begin with sk-ant-oat/.test(odd.stderr)], [0, true]);
  });

  it(
    "Ctrl-C at the prompt stores nothing: exit code 130",
    { skip: findProgram("script") === null && "script is not installed" },
    async () => {
      const asking = startProgram("script", ["-qec", `${join(ROOT, "bin", "myzel")} login`, "/dev/null"], {
        env: { MYZEL_DATA_DIR: join(directory.path, "data"), TERM: "xterm" },
        keepInput: true,
      });
      await eventually("it asks", () => asking.output.stdout.includes("Claude token"));
      asking.child.stdin?.write("\u0003");
      const ran = await asking.ended;
      assert.equal(ran.code, 130, ran.stdout);
      assert.match(ran.stdout, /No token is stored/);
      await assert.rejects(stat(path));
    },
  );

  it("the token is no argument", async () => {
    assert.equal((await run(["sk-ant-oat01-x"])).code, 2);
    await assert.rejects(stat(path));
  });
});
