/** The engine keeps the logs of live runs: real database, real processes, whose agents say what the test wants. */
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Launcher, LaunchSpec } from "../../engine/launch/launcher.ts";
import type { FollowOptions } from "../../engine/loops/follow-logs.ts";
import { openSession } from "../../engine/store/connection.ts";
import { openBench } from "../launcher/process-support.ts";
import { testDatabase } from "../support/postgres.ts";
import { startTestEngine } from "../support/test-engine.ts";
import type { TestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";

/** Prints what the test writes into a file of its workspace, until that says how to end. */
const SPEAKS = `
  const path = process.env.MYZEL_WORKSPACE + "/say";
  for (let said = 0; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
    process.stdout.write(text.slice(said));
    said = text.length;
    if (text.includes("crash\\n")) process.exit(7);
  }`;

const EVERY_MS = 200;

async function startTest(t: TestContext, follow: Partial<FollowOptions> = {}) {
  const engines: TestEngine[] = [];
  // Hooks run in the order in which they were made: the engines end before what they work with goes.
  t.after(() => Promise.all(engines.map((engine) => engine.stop())));
  const bench = openBench(t, { agent: SPEAKS });
  const database = await testDatabase();
  t.after(() => database.close());
  const specs: LaunchSpec[] = [];
  const launcher: Launcher = {
    ...bench.launcher,
    launch: (spec) => {
      specs.push(spec);
      return bench.launcher.launch(spec);
    },
  };
  const startEngine = (changes: Partial<FollowOptions> = {}): TestEngine => {
    const options = { pollIntervalMs: 500, follow: { everyMs: EVERY_MS, ...follow, ...changes } };
    const engine = startTestEngine(database, launcher, options);
    engines.push(engine);
    return engine;
  };
  startEngine();

  const task = async (id: string) => (await database.pool.query("select * from tasks where id = $1", [id])).rows[0];
  const stored = async (id: string): Promise<string | null> => {
    const { rows } = await database.pool.query<{ content: Buffer }>(
      "select content from run_transcripts t join runs r on r.id = t.run_id where r.task_id = $1",
      [id],
    );
    return rows[0] === undefined ? null : gunzipSync(rows[0].content).toString("utf8");
  };
  return {
    database,
    startEngine,
    engines,
    task,
    stored,
    run: async (id: string) => (await database.pool.query("select * from runs where task_id = $1", [id])).rows[0],
    /** Files a task; resolves when its agent speaks. */
    begin: async (addressee: string): Promise<{ id: string; spec: LaunchSpec; say(text: string): void }> => {
      const { rows } = await database.pool.query(
        "insert into tasks (addressee, prompt) values ($1, 'p') returning id",
        [addressee],
      );
      const { id } = rows[0] as { id: string };
      const spec = await eventually("it is launched", () => specs.find(({ taskId }) => taskId === id));
      await eventually(
        "its agent runs",
        async () => (await launcher.observe()).find(({ runId }) => runId === spec.runId)?.phase === "agent",
      );
      const say = (text: string) => appendFileSync(join(bench.directory(spec.jobName), "work/say"), `${text}\n`);
      return { id, spec, say };
    },
    /** Its agent may still be starting when its phase has begun. */
    prints: (spec: LaunchSpec, text: string) =>
      eventually(`its agent prints "${text}"`, async () => {
        for await (const piece of launcher.logs(spec.jobName, { follow: false })) {
          if (piece.text.includes(`${text}\n`)) return true;
        }
        return false;
      }),
    keeps: (id: string, text: string) =>
      eventually(`the database has "${text}"`, async () => ((await stored(id)) ?? "").includes(`"${text}"`)),
    completed: (id: string) =>
      eventually(`task ${id} is completed and its run is over`, async () => {
        const { rows } = await database.pool.query(
          `select t.* from tasks t where id = $1 and status = 'completed'
               and not exists (select from runs where task_id = t.id and finished_at is null)`,
          [id],
        );
        return rows[0];
      }),
  };
}

/** What the agent said, each with how often the text has it. */
function counts(text: string, said: readonly string[]): number[] {
  return said.map((one) => text.split(`"${one}"`).length - 1);
}

describe("an engine that follows logs", () => {
  it("has what a live run said in the database, and the end of it in a failed result", async (t) => {
    const test = await startTest(t);
    const { id, say } = await test.begin("w");
    say("thinking");
    await test.keeps(id, "thinking");
    assert.equal((await test.run(id)).finished_at, null);
    say("last words");
    say("crash");
    const { result } = await test.completed(id);
    assert.equal(result.code, "no_report");
    assert.match(result.logs, /thinking\nlast words\ncrash\n/);
    const text = (await test.stored(id)) ?? "";
    assert.deepEqual(counts(text, ["thinking", "last words", "crash"]), [1, 1, 1]);
  });

  it("goes on where another engine was, with no line twice and none lost", async (t) => {
    const test = await startTest(t);
    const { id, say } = await test.begin("w");
    say("one");
    await test.keeps(id, "one");
    await test.engines[0]?.stop();
    say("two");
    const second = test.startEngine();
    await test.keeps(id, "two");
    say("three");
    await second.stop();
    test.startEngine({ runs: 0 }); // it only settles
    say("crash");
    await test.completed(id);
    const text = (await test.stored(id)) ?? "";
    assert.deepEqual(counts(text, ["one", "two", "three", "crash"]), [1, 1, 1, 1]);
  });

  it("never writes over the transcript of publish", async (t) => {
    const test = await startTest(t);
    const { id, say, spec } = await test.begin("w");
    say("thinking");
    await test.keeps(id, "thinking");
    const pod = await openSession({ url: test.database.url("pod"), applicationName: "pod", max: 1 });
    try {
      await pod.query("select load_brief($1, $2, 'pod-1')", [spec.runId, spec.token]);
      // Many lines come while it is being stored.
      const talking = setInterval(() => say("and on"), 5);
      await delay(2 * EVERY_MS);
      const transcript = gzipSync('{"type":"result"}\n');
      await pod.query("select store_transcript($1, $2, 'pod-1', $3, 18, false)", [spec.runId, spec.token, transcript]);
      await delay(3 * EVERY_MS);
      clearInterval(talking);
    } finally {
      await pod.end();
    }
    assert.equal(await test.stored(id), '{"type":"result"}\n');
    say("crash");
    const { result } = await test.completed(id);
    assert.match(result.logs, /crash\n\[myzel\] keeping what the run leaves\n$/);
    assert.equal(await test.stored(id), '{"type":"result"}\n');
  });

  it("ends a run that hangs from outside, and no other that is silent for as long", async (t) => {
    const test = await startTest(t);
    const [hangs, lives] = [await test.begin("hangs"), await test.begin("lives")];
    hangs.say("last words");
    await test.keeps(hangs.id, "last words");
    // From here on each may be silent for so long only; an engine reads that when it begins to follow.
    await test.engines[0]?.stop();
    await test.database.pool.query("update profiles set silence_limit = '3 seconds'");
    const talking = setInterval(() => lives.say("at work"), 200);
    test.startEngine({ silenceMarginMs: 2_000 });
    const { result } = await test.completed(hangs.id).finally(() => clearInterval(talking));
    assert.equal(result.code, "hung");
    assert.match(result.error, /printed nothing for \d+ seconds.*limit is 3 seconds/);
    assert.match(result.logs, /last words\n$/);
    const run = await test.run(hangs.id);
    assert.deepEqual([run.failure_code, run.attempt], ["hung", 1]);
    assert.equal((await test.task(lives.id)).status, "running");
    const slot = await test.database.pool.query("select from runs where addressee = 'hangs' and finished_at is null");
    assert.equal(slot.rowCount, 0);
  });

  it("follows no more than it may, the oldest first", async (t) => {
    const test = await startTest(t, { runs: 2 });
    const runs = [await test.begin("a"), await test.begin("b"), await test.begin("c")];
    const [first, second, third] = runs as [(typeof runs)[0], (typeof runs)[0], (typeof runs)[0]];
    for (const { say } of runs) say("hello");
    await Promise.all([test.keeps(first.id, "hello"), test.keeps(second.id, "hello")]);
    await test.prints(third.spec, "hello");
    await delay(3 * EVERY_MS);
    assert.equal(await test.stored(third.id), null);
    first.say("crash");
    await test.keeps(third.id, "hello");
    third.say("crash");
    await test.completed(third.id);
    assert.deepEqual(counts((await test.stored(third.id)) ?? "", ["hello", "crash"]), [1, 1]);
  });

  it("follows nobody where it is told so, and keeps the log at the end all the same", async (t) => {
    const test = await startTest(t, { runs: 0 });
    const { id, spec, say } = await test.begin("w");
    say("thinking");
    await test.prints(spec, "thinking");
    await delay(3 * EVERY_MS);
    assert.equal(await test.stored(id), null);
    await test.database.pool.query("select stop($1, 'not needed')", [id]);
    await test.completed(id);
    await eventually("its log is kept", async () => (await test.stored(id))?.includes('"thinking"'));
  });
});
