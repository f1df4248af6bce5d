/**
 * Ten epics at once on five repositories, twenty runs live: a real database and a real engine, but a launcher in memory
 * whose jobs take a moment, so that more than two hundred tasks pass in seconds and the engine's own order is all that is
 * judged. No epic starves, no addressee is out of order, and all of them end. With real jobs and real remotes:
 * test/end-to-end/ten-epics.test.ts.
 */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { it } from "node:test";
import type { LaunchSpec } from "../../engine/launch/launcher.ts";
import { instantLauncher } from "../support/instant-launcher.ts";
import { testDatabase } from "../support/postgres.ts";
import { startTestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";
import type { OutboxTask } from "../../worker-image/contract.ts";

const EPICS = 10;
const REPOSITORIES = 5;
const LIVE = 20;
const STEPS = 3;
/** Of each step: so many in parallel, and so many for one worker of the repository. */
const PARALLEL = 4;
const SERIAL = 2;
const WORK_MS = 40;
const MOST_WAIT_MS = 10_000;

function task(prompt: string, addressee: string | null): OutboxTask {
  const rest = { repo_url: null, branch: null, base_branch: null, kind: null, step: null, paths: null };
  return { prompt, addressee, wake: "last", pull_request: false, ...rest };
}

function stepOf(epic: number, step: number): OutboxTask[] {
  const serial = `worker-of-${epic % REPOSITORIES}`;
  return [
    ...Array.from({ length: PARALLEL }, (_, n) => task(`${epic} ${step} parallel ${n}`, null)),
    ...Array.from({ length: SERIAL }, (_, n) => task(`${epic} ${step} serial ${n}`, serial)),
  ];
}

it("ten epics on five repositories with twenty live runs: none starves, order holds, all end", async () => {
  const test = await testDatabase();
  const turns = new Map<string, number>();
  let live = 0;
  let mostLive = 0;
  const crowded = Promise.withResolvers<void>();
  const play = async (spec: LaunchSpec): Promise<void> => {
    mostLive = Math.max(mostLive, ++live);
    if (mostLive > LIVE / 2) crowded.resolve();
    const green = /^project-mgr-(\d+)$/.exec(spec.addressee);
    // However slow the engine is, the first ones are still at work when it has filled its places.
    if (green === null) await Promise.race([crowded.promise, delay(MOST_WAIT_MS, undefined, { ref: false })]);
    await delay(WORK_MS);
    const turn = turns.get(spec.addressee) ?? 0;
    if (green !== null) turns.set(spec.addressee, turn + 1);
    live--;
    if (green === null) return launcher.finish(spec.jobName);
    if (turn < STEPS) return launcher.finish(spec.jobName, { tasks: stepOf(Number(green[1]), turn) });
    launcher.finish(spec.jobName, { finish_epic: { success: true, summary: "done" } });
  };
  const launcher = instantLauncher({ onLaunch: (spec) => void play(spec) });
  const engine = startTestEngine(test, launcher, { maxLiveRuns: LIVE });
  try {
    const file =
      "select file_epic('project-mgr-' || n, 'build ' || n, 'https://host/' || n % $2 || '.git') from generate_series(0, $1 - 1) n";
    await test.pool.query(file, [EPICS, REPOSITORIES]);
    await eventually(
      "all epics end",
      async () => (await test.pool.query("select from epics where state = 'finished'")).rowCount === EPICS,
      300_000,
    );
    const tasks = (
      await test.pool.query(
        `select t.addressee, t.prompt, t.created_at, t.started_at, t.completed_at, o.epic
         from tasks t join task_options o on o.task_id = t.id order by t.created_at, t.id`,
      )
    ).rows;
    assert.equal(tasks.length, EPICS * (1 + STEPS * (PARALLEL + SERIAL + 1)));
    assert.ok(mostLive > LIVE / 2 && mostLive <= LIVE, `${mostLive} were live at once`);

    const serial = tasks.filter(({ addressee }) => addressee.startsWith("worker-of-"));
    for (const name of new Set(serial.map(({ addressee }) => addressee))) {
      const line = serial.filter(({ addressee }) => addressee === name);
      assert.equal(line.length, (EPICS / REPOSITORIES) * STEPS * SERIAL);
      line.slice(1).forEach((next, index) => {
        assert.ok(next.started_at >= line[index].completed_at, `${name}: "${next.prompt}" began before its turn`);
      });
    }
    // At half time each has done its share, give or take a step.
    const half = tasks.map(({ completed_at }) => Number(completed_at)).toSorted((a, b) => a - b)[tasks.length / 2] ?? 0;
    for (const epic of new Set(tasks.map((row) => row.epic))) {
      const own = tasks.filter((row) => row.epic === epic);
      const done = own.filter(({ completed_at }) => Number(completed_at) <= half).length;
      assert.ok(done >= own.length / 2 - (PARALLEL + SERIAL + 1), `an epic had ${done} of ${own.length} at half time`);
    }
  } finally {
    await engine.stop();
    await test.close();
  }
});
