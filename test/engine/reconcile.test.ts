/** Where the engine looks: at the runs whose jobs have changed, and at everything when it is not told. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { jobEnd } from "../../engine/domain/job.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { doneReport, instantLauncher } from "../support/instant-launcher.ts";
import type { InstantLauncher } from "../support/instant-launcher.ts";
import { testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { startTestEngine } from "../support/test-engine.ts";
import type { TestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";

interface TellingLauncher extends Launcher {
  /** How many runs each look was at; null: everything. */
  readonly looks: (number | null)[];
  /** The runs that were looked at. */
  readonly seen: ReadonlySet<string>;
  /** The jobs that were to end without keeping anything. */
  readonly endedAtOnce: string[];
  /** Ends these jobs and tells nobody. */
  end(jobNames: Iterable<string>): void;
  /** Tells the engine; unset: that anything may have changed. */
  tell(runIds?: readonly string[]): void;
}

/** An instant launcher whose watch says which runs have changed. */
function tellingLauncher(inner: InstantLauncher): TellingLauncher {
  const wakes = new Set<(runIds?: readonly string[]) => void>();
  const looks: (number | null)[] = [];
  const seen = new Set<string>();
  const endedAtOnce: string[] = [];
  return {
    ...inner,
    looks,
    seen,
    endedAtOnce,
    stop: async (jobName, reason, options) => {
      if (options?.atOnce === true) endedAtOnce.push(jobName);
      await inner.stop(jobName, reason);
    },
    end: (jobNames) => {
      for (const name of jobNames) {
        const job = inner.jobs.get(name);
        if (job !== undefined) job.end = jobEnd({ spooledReport: doneReport });
      }
    },
    tell: (runIds) => wakes.forEach((wake) => wake(runIds)),
    observe: async (runIds) => {
      looks.push(runIds?.size ?? null);
      for (const runId of runIds ?? [...inner.jobs.values()].map(({ spec }) => spec.runId)) seen.add(runId);
      return await inner.observe();
    },
    watch: (wake) => {
      wakes.add(wake);
      return async () => void wakes.delete(wake);
    },
  };
}

describe("the engine looks", () => {
  let test: TestDatabase;
  let instant: InstantLauncher;
  let launcher: TellingLauncher;
  let engine: TestEngine;

  beforeEach(async () => {
    test = await testDatabase();
    instant = instantLauncher();
    launcher = tellingLauncher(instant);
    const leads = Promise.withResolvers<void>();
    engine = startTestEngine(test, launcher, { maxLiveRuns: 2_000, onLead: () => leads.resolve() });
    await leads.promise;
  });
  afterEach(async () => {
    await engine.stop();
    await test.close();
  });

  const count = async (condition: string): Promise<number> =>
    (await test.pool.query(`select count(*)::integer as n from runs where ${condition}`)).rows[0].n;
  const launch = async (tasks: number): Promise<void> => {
    await test.pool.query("insert into tasks (addressee, prompt) select 'w' || i, 'p' from generate_series(1, $1) i", [
      tasks,
    ]);
    await eventually("all launches are noted", async () => (await count("launched_at is not null")) === tasks);
    await eventually("what was launched is looked at once more", () =>
      [...instant.jobs.values()].every(({ spec }) => launcher.seen.has(spec.runId)),
    );
    // It looks at everything every 30 s: it has just done so.
    launcher.looks.length = 0;
    launcher.tell();
    await eventually("everything is looked at", () => launcher.looks.includes(null));
    // No look is under way any more.
    for (let looks = -1; looks < launcher.looks.length; await delay(500)) looks = launcher.looks.length;
    launcher.looks.length = 0;
  };
  const settled = (tasks: number) =>
    eventually(`${tasks} runs are over`, async () => (await count("finished_at is not null")) === tasks);

  it("at the run whose job has changed, and at no other", async () => {
    await launch(3);
    const [first, second] = [...instant.jobs.values()].map(({ spec }) => spec);
    launcher.end([first?.jobName ?? "", second?.jobName ?? ""]);
    launcher.tell([first?.runId ?? ""]);
    await settled(1);
    assert.equal(await count(`finished_at is not null and id = '${first?.runId}'`), 1, "nobody told of the second one");
    assert.ok(launcher.looks.length > 0 && launcher.looks.every((runs) => runs === 1), launcher.looks.join());
  });

  it("at everything where the launcher does not know what has changed", async () => {
    await launch(3);
    launcher.end([...instant.jobs.keys()]);
    launcher.tell();
    await settled(3);
    await eventually("their jobs are removed", () => instant.jobs.size === 0);
  });

  it("at more runs than it reads at a time, and at jobs that belong to none of them", async () => {
    await launch(1_100);
    const [some] = [...instant.jobs.values()];
    assert.ok(some);
    const orphan = { ...some.spec, jobName: "task-x-1", runId: "00000000-0000-4000-8000-000000000000" };
    instant.jobs.set(orphan.jobName, { spec: orphan, end: null });
    const live = [...instant.jobs.values()].filter(({ spec }) => spec !== orphan).slice(1_000);
    launcher.end([...instant.jobs.keys()].slice(0, 1_000));
    launcher.tell();
    await settled(1_000);
    assert.equal(launcher.looks[0], null, "once for all");
    assert.deepEqual(instant.stopped, [orphan.jobName]);
    for (const { spec } of live) assert.ok(instant.jobs.has(spec.jobName), "it is left alone");
  });

  it("at what is to be stopped, which may keep its work unless nobody would take it", async () => {
    await launch(2);
    const [stopped, reported] = [...instant.jobs.values()].map(({ spec }) => spec);
    assert.ok(stopped !== undefined && reported !== undefined);
    // It was settled two minutes ago, and its job has not ended since.
    await test.pool.query("update runs set report = $2 where id = $1", [reported.runId, JSON.stringify(doneReport)]);
    launcher.tell([reported.runId]);
    await eventually("it is settled", async () => (await count("settled_at is not null")) === 1);
    await test.pool.query("update runs set settled_at = settled_at - interval '2 minutes' where id = $1", [
      reported.runId,
    ]);
    const orphan = { ...stopped, jobName: "task-x-1", runId: "00000000-0000-4000-8000-000000000000" };
    instant.jobs.set(orphan.jobName, { spec: orphan, end: null });
    await test.pool.query("select stop($1, 'not needed')", [stopped.taskId]);
    launcher.tell();
    await eventually("all three are stopped", () =>
      [stopped, reported, orphan].every(({ jobName }) => instant.stopped.includes(jobName)),
    );
    launcher.tell();
    await settled(2);
    assert.deepEqual(new Set(launcher.endedAtOnce), new Set([reported.jobName, orphan.jobName]));
  });
});
