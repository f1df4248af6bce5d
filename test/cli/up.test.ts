/** `myzel up` with the embedded database: start, second start, crash, end. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { findProgram } from "../../engine/cli/find-program.ts";
import { testDatabase } from "../support/postgres.ts";
import { eventually } from "../support/waiting.ts";
import { myzel, ROOT, startMyzel, startProgram } from "./run-myzel.ts";
import type { Running } from "./run-myzel.ts";

describe("myzel up", () => {
  let dataDir: string;
  let env: Record<string, string>;
  let running: Running | undefined;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "myzel-up-"));
    await chmod(dataDir, 0o711);
    env = { MYZEL_DATA_DIR: dataDir };
  });
  after(async () => {
    running?.child.kill("SIGKILL");
    // Whatever a failed test left: the next start adopts it, and its end ends it.
    const last = startMyzel(["up"], { env });
    await ready(last).catch(() => undefined);
    last.child.kill("SIGTERM");
    await last.ended;
    await rm(dataDir, { recursive: true, force: true });
  });
  const ready = (up: Running) => eventually("it is up", () => up.output.stdout.includes("Myzel is up"), 180_000);
  const start = async (more: Record<string, string> = {}) => {
    running = startMyzel(["up"], { env: { ...env, ...more } });
    await ready(running);
    return running;
  };
  const stop = async (up: Running, signal: NodeJS.Signals = "SIGINT") => {
    up.child.kill(signal);
    const ran = await up.ended;
    running = undefined;
    return ran;
  };

  it("starts everything, says how to file a task and how to get a login, and Ctrl-C ends it in order", async () => {
    const up = await start();
    assert.match(up.output.stderr, /claude setup-token[^]*npm run demo/);
    assert.match(up.output.stdout, /myzel psql -c "insert into tasks/);
    assert.match(up.output.stdout, /psql -h 127\.0\.0\.1 -p \d+ -U myzel_operator_login myzel/);
    const logins = Object.values(
      JSON.parse(await readFile(join(dataDir, "logins.json"), "utf8")) as Record<string, string>,
    );
    for (const login of logins) {
      const { password } = new URL(login);
      assert.ok(!`${up.output.stdout}${up.output.stderr}`.includes(password), "no password is shown");
    }

    const filed = await myzel(["enqueue", "kept", "--json"], { env });
    assert.equal(filed.code, 0, filed.stderr);
    const second = await myzel(["up"], { env });
    assert.deepEqual([second.code, /is up already/.test(second.stderr)], [2, true]);

    const { code, stderr } = await stop(up);
    assert.equal(code, 0, stderr);
    const order = ["Stopping; runs that are under way go on", "no longer leading", "embedded Postgres stopped"];
    const places = order.map((text) => stderr.indexOf(text));
    assert.ok(
      places.every((place, at) => place > (places[at - 1] ?? -1)),
      stderr,
    );
    assert.equal((await myzel(["tasks"], { env })).code, 3);
  });

  it("goes on where nobody reads what it prints, and ends in order", async () => {
    running = startMyzel(["up"], { env });
    running.child.stdout?.destroy();
    running.child.stderr?.destroy();
    await eventually(
      "it is up",
      async () => (await myzel(["why", "@last"], { env })).stdout.includes("Claude"),
      180_000,
    );
    assert.equal((await stop(running)).code, 0);
    assert.equal(existsSync(join(dataDir, "postgres", "postmaster.pid")), false, "the server is stopped");
  });

  it("the end of its terminal ends it in order, however often that is told", async () => {
    const up = await start();
    up.child.kill("SIGHUP");
    up.child.kill("SIGHUP");
    const { code, stderr } = await stop(up, "SIGHUP");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /embedded Postgres stopped/);
    assert.equal(existsSync(join(dataDir, "postgres", "postmaster.pid")), false, "the server is stopped");
  });

  it(
    "nohup lets it outlive its terminal",
    { skip: findProgram("nohup") === null && "nohup is not installed" },
    async () => {
      running = startProgram("nohup", [join(ROOT, "bin", "myzel"), "up"], { env });
      await ready(running);
      running.child.kill("SIGHUP");
      assert.equal((await myzel(["tasks"], { env })).code, 0);
      assert.equal(running.child.exitCode, null);
      assert.doesNotMatch(running.output.stderr, /Stopping/);
      assert.equal((await stop(running, "SIGTERM")).code, 0);
    },
  );

  it("finds the same data again, also after kill -9", async () => {
    const first = await start();
    const { rows } = await tasks();
    assert.deepEqual(rows, ["kept"]);
    await stop(first, "SIGKILL");
    const second = await start();
    assert.match(second.output.stderr, /embedded Postgres adopted/);
    assert.deepEqual((await tasks()).rows, ["kept"]);
    assert.equal((await stop(second)).code, 0);
  });

  it("with a Claude login it starts only where the launcher was chosen on purpose", async () => {
    const token = { CLAUDE_CODE_OAUTH_TOKEN: "sk-ant-oat01-0123456789" };
    const refused = await myzel(["up"], { env: { ...env, ...token } });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /could do here whatever .* can[^]*--launcher process/);
    await writeFile(join(dataDir, "claude-token"), "sk-ant-oat01-0123456789\n", { mode: 0o600 });
    assert.equal((await myzel(["up"], { env })).code, 2);
    const up = await start({ MYZEL_LAUNCHER: "process" });
    assert.doesNotMatch(up.output.stdout + up.output.stderr, /0123456789/);
    assert.equal((await stop(up, "SIGTERM")).code, 0);
    await rm(join(dataDir, "claude-token"));
  });

  it("migrate works on the embedded database while nothing is up, and leaves it down", async () => {
    const ran = await myzel(["migrate"], { env });
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
    assert.match(ran.stdout, /is current/);
    const rehearsed = await myzel(["migrate", "--dry-run"], { env });
    assert.deepEqual([rehearsed.code, rehearsed.stdout, rehearsed.stderr], [0, "The database is current.\n", ""]);
    assert.equal((await myzel(["tasks"], { env })).code, 3);
  });

  it("with DATABASE_URL it starts no server, makes logins there, and a command line finds them", async () => {
    const database = await testDatabase();
    const own = await mkdtemp(join(tmpdir(), "myzel-up-own-"));
    const place = { MYZEL_DATA_DIR: own, MYZEL_ROLE_PREFIX: database.rolePrefix };
    try {
      const up = await start({ ...place, DATABASE_URL: database.adminUrl });
      const filed = await myzel(["enqueue", "p", "--json"], { env: place });
      assert.match(JSON.parse(filed.stdout).created_by, /_operator_login/);
      assert.deepEqual([(await stop(up)).code, existsSync(join(own, "postgres"))], [0, false]);
      assert.equal((await myzel(["tasks"], { env: place })).code, 0, "the server goes on");
    } finally {
      await database.close();
      await rm(own, { recursive: true, force: true });
    }
  });

  async function tasks(): Promise<{ rows: string[] }> {
    const ran = await myzel(["tasks", "--json"], { env });
    assert.equal(ran.code, 0, ran.stderr);
    return {
      rows: ran.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).prompt),
    };
  }
});
