/** `myzel engine`: starts, waits, stands by, stops; and what it refuses. */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { stablePorts } from "../support/ports.ts";
import { emptyDatabase, testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { eventually } from "../support/waiting.ts";
import { myzel, startMyzel, temporaryDirectory } from "./run-myzel.ts";
import type { Running } from "./run-myzel.ts";

describe("myzel engine", () => {
  let database: TestDatabase;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let started: Running[] = [];
  let env: Record<string, string>;
  before(async () => {
    database = await testDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    directory = await temporaryDirectory();
    env = {
      DATABASE_URL: database.url("engine"),
      MYZEL_POD_DATABASE_URL: database.url("pod"),
      MYZEL_DATA_DIR: directory.path,
      MYZEL_ROLE_PREFIX: database.rolePrefix,
      MYZEL_LAUNCHER: "process",
    };
    await database.pool.query("update engine_state set key_hash = null");
  });
  afterEach(async () => {
    for (const { child } of started) child.kill("SIGKILL");
    await Promise.all(started.map((one) => one.ended));
    started = [];
    await directory.remove();
  });
  const start = (more: Record<string, string> = {}) => {
    const running = startMyzel(["engine"], { env: { ...env, ...more } });
    started.push(running);
    return running;
  };
  const says = (running: Running, message: string) =>
    eventually(message, () => running.output.stdout.includes(`"msg":"${message}"`));

  it("leads, logs JSON lines without secrets, keeps its run key in a file of mode 0600, and ends on SIGTERM with exit code 0", async () => {
    const engine = start({ CLAUDE_CODE_OAUTH_TOKEN: "sk-ant-oat01-0123456789" });
    await says(engine, "leading");
    assert.equal((await stat(join(directory.path, "run-key"))).mode & 0o777, 0o600);
    assert.equal((await stat(join(directory.path, "run-key"))).size, 32);
    engine.child.kill("SIGTERM");
    const ran = await engine.ended;
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
    for (const line of ran.stdout.trimEnd().split("\n")) assert.ok(JSON.parse(line).msg);
    const passwords = [database.url("engine"), database.url("pod")].map((url) => new URL(url).password);
    for (const secret of ["0123456789", ...passwords]) assert.ok(!ran.stdout.includes(secret));
  });

  it("a second one stands by, and leads when the first has ended", async () => {
    const first = start();
    await says(first, "leading");
    const second = start();
    await says(second, "another engine leads; standing by");
    first.child.kill("SIGINT");
    assert.equal((await first.ended).code, 0);
    await says(second, "leading");
    second.child.kill("SIGTERM");
    assert.equal((await second.ended).code, 0);
  });

  it("waits for a database that cannot be reached, says so once, and goes on when it is there", async () => {
    const real = new URL(database.url("engine"));
    const [port = 0] = await stablePorts(1);
    const url = new URL(real);
    url.port = String(port);
    const engine = start({ DATABASE_URL: url.href });
    await says(engine, "database cannot be reached; waiting for it");
    const sockets = new Set<Socket>();
    const open = createServer((socket) => {
      const target = connect(Number(real.port), real.hostname);
      for (const one of [socket, target]) {
        sockets.add(one);
        one.on("error", () => undefined);
      }
      socket.pipe(target).pipe(socket);
    });
    open.listen(port, "127.0.0.1");
    try {
      await says(engine, "leading");
      assert.equal(engine.output.stdout.split("waiting for it").length - 1, 1, "said once");
      engine.child.kill("SIGTERM");
      assert.equal((await engine.ended).code, 0);
    } finally {
      for (const socket of sockets) socket.destroy();
      open.close();
    }
  });

  it("SIGTERM while it waits ends it", async () => {
    const engine = start({ DATABASE_URL: "postgresql://x:y@127.0.0.1:1/x" });
    await says(engine, "database cannot be reached; waiting for it");
    engine.child.kill("SIGTERM");
    assert.equal((await engine.ended).code, 0);
  });

  it("refuses a database without its schema, a cluster that is not configured, and to hand its own login to runs", async () => {
    const empty = await emptyDatabase();
    try {
      const older = await myzel(["engine"], { env: { ...env, DATABASE_URL: empty.adminUrl } });
      assert.equal(older.code, 2);
      assert.match(older.stderr, /run myzel migrate/);
    } finally {
      await empty.close();
    }
    const kubernetes = await myzel(["engine", "--launcher", "kubernetes", "--kubeconfig", "/nowhere"], { env });
    assert.equal(kubernetes.code, 2);
    assert.match(kubernetes.stderr, /No cluster is configured: .*\/nowhere/);
    const { MYZEL_POD_DATABASE_URL: _, ...withoutPod } = env;
    const pod = await myzel(["engine"], { env: withoutPod });
    assert.equal(pod.code, 2);
    assert.match(pod.stderr, /Set MYZEL_POD_DATABASE_URL/);
  });

  it("refuses another run key than the engines before it", async () => {
    await database.pool.query("update engine_state set key_hash = '\\x00'");
    const ran = await myzel(["engine"], { env });
    assert.equal(ran.code, 2, ran.stdout);
    assert.match(ran.stderr, /run key is not the one/);
  });
});
