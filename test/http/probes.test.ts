import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createHealth } from "../../engine/health.ts";
import { serveProbes } from "../../engine/http/probes.ts";
import { stablePorts } from "../support/ports.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { eventually } from "../support/waiting.ts";

const MAIN = join(import.meta.dirname, "../../engine/main.ts");

describe("health", () => {
  let nowMs = 0;
  const health = () => createHealth(() => nowMs);

  test("an engine that waits for its first database is alive, however long, and not ready", () => {
    const engine = health();
    nowMs += 3_600_000;
    assert.equal(engine.liveProblem(), null);
    assert.match(engine.readyProblem() ?? "", /database/);
  });

  test("an engine whose database went away is alive and not ready, until it is back", () => {
    const engine = health();
    engine.step();
    engine.database(true);
    assert.equal(engine.readyProblem(), null);
    engine.database(false);
    assert.equal(engine.liveProblem(), null);
    assert.match(engine.readyProblem() ?? "", /database/);
    engine.database(true);
    assert.equal(engine.readyProblem(), null);
  });

  test("an engine that made no step for two minutes is neither alive nor ready", () => {
    const engine = health();
    engine.step();
    engine.database(true);
    nowMs += 120_000;
    assert.equal(engine.liveProblem(), null);
    nowMs += 1;
    assert.match(engine.liveProblem() ?? "", /No step was made for 120 seconds/);
    assert.equal(engine.readyProblem(), engine.liveProblem());
    engine.step();
    assert.equal(engine.liveProblem(), null);
  });
});

test("the probes answer 200 or 503 with a sentence, and nothing else is served", async () => {
  let problem: string | null = "It rests.";
  const health = { ...createHealth(() => 0), liveProblem: () => null, readyProblem: () => problem };
  const probes = await serveProbes({ port: 0, health });
  try {
    const ask = async (path: string, method = "GET") => {
      const response = await fetch(`http://127.0.0.1:${probes.port}${path}`, { method });
      return [response.status, (await response.text()).trim()];
    };
    assert.deepEqual(await ask("/livez"), [200, "ok"]);
    assert.deepEqual(await ask("/readyz?verbose"), [503, "It rests."]);
    problem = null;
    assert.deepEqual(await ask("/readyz"), [200, "ok"]);
    assert.equal((await ask("/"))[0], 404);
    assert.equal((await ask("/livez", "POST"))[0], 405);
  } finally {
    await probes.close();
  }
});

describe("myzel engine with MYZEL_HTTP_PORT", () => {
  let database: TestDatabase;
  let dataDir: string;
  let port: number;
  const engines: ChildProcess[] = [];
  before(async () => {
    database = await testDatabase();
    dataDir = await mkdtemp(join(tmpdir(), "myzel-probes-"));
    [port = 0] = await stablePorts(1);
  });
  after(async () => {
    for (const engine of engines) engine.kill("SIGKILL");
    await database.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  function start(databaseUrl: string): { engine: ChildProcess; said: () => string } {
    const engine = spawn(process.execPath, [MAIN, "engine"], {
      env: {
        PATH: process.env["PATH"],
        HOME: dataDir,
        DATABASE_URL: databaseUrl,
        MYZEL_POD_DATABASE_URL: database.url("pod"),
        MYZEL_ROLE_PREFIX: database.rolePrefix,
        MYZEL_DATA_DIR: dataDir,
        MYZEL_LAUNCHER: "process",
        MYZEL_HTTP_PORT: String(port),
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    engines.push(engine);
    let stderr = "";
    engine.stderr?.on("data", (chunk) => (stderr += chunk));
    return { engine, said: () => stderr };
  }

  const status = async (path: string): Promise<number | null> =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      (response) => response.status,
      () => null,
    );

  test("is alive before its database answers, ready once it does, and serves nothing after SIGTERM", async () => {
    const waiting = start("postgresql://engine:secret@127.0.0.1:1/myzel").engine;
    await eventually("it is alive", async () => (await status("/livez")) === 200);
    assert.equal(await status("/readyz"), 503);
    waiting.kill("SIGTERM");
    await once(waiting, "exit");

    const leading = start(database.url("engine")).engine;
    await eventually("it is ready", async () => (await status("/readyz")) === 200);
    assert.equal(await status("/livez"), 200);

    const second = start(database.url("engine"));
    const [code] = (await once(second.engine, "close")) as [number]; // all that it said has been read
    assert.equal(code, 2);
    assert.match(second.said(), new RegExp(`MYZEL_HTTP_PORT: port ${port} cannot be served`));

    leading.kill("SIGTERM");
    const [end] = (await once(leading, "exit")) as [number];
    assert.equal(end, 0);
    assert.equal(await status("/livez"), null);
  });
});
