/**
 * One run of the Kubernetes fault suite: tasks are filed and edited while engines are killed, the control plane
 * breaks and somebody deletes Jobs and pods, all from one seed; every invariant is checked on the way and at the end.
 * A seed fixes what is tried and in which order; how it meets the cluster's own timing does not repeat exactly.
 */
import { setTimeout as delay } from "node:timers/promises";
import { databaseViolations, prepareChecks } from "../../fault/check-database.ts";
import { violationsOf } from "../../fault/check-history.ts";
import { readHistory } from "../../fault/history.ts";
import { seededRandom, type Random } from "../../fault/random.ts";
import { eventually } from "../../support/waiting.ts";
import { CLUSTER_FAULTS, LONG_CLUSTER_FAULTS } from "./cluster-faults.ts";
import { ENGINE_FAULTS, LONG_ENGINE_FAULTS } from "./engine-faults.ts";
import { makeStage, type Stage } from "./stage.ts";
import type { Fault } from "./victims.ts";

export interface SuiteOptions {
  seed: string;
  /** How many tasks are filed, at least. */
  tasks: number;
  /** No more are filed while so many wait. */
  mostPending: number;
  /** `long`: those that last too, and every one again and again until all tasks are filed. */
  faults: "short" | "long";
  /** SQL that breaks a guarantee on purpose: the suite must notice. */
  sabotage?: string | undefined;
  /** Told what goes on. */
  say: (line: string) => void;
  /** Ends the run at once, and everything that was started for it. */
  signal?: AbortSignal;
}

export interface SuiteReport {
  violations: string[];
  /** Faults that really happened, by name and what came of it. */
  faults: Record<string, number>;
  edits: Record<string, number>;
  tasks: number;
  runs: number;
  /** Pods whose program began, and those that were turned away. */
  pods: number;
  turnedAway: number;
  epochs: number;
  seconds: number;
  /** Errors that engines logged, with how often. */
  complaints: Record<string, number>;
}

interface World extends Stage {
  options: SuiteOptions;
  faults: Map<string, number>;
  violations: Set<string>;
}

const DRAIN_MS = 240_000;

/** @throws Error where the suite itself cannot go on; violations are in the report */
export async function runSuite(options: SuiteOptions): Promise<SuiteReport> {
  const begin = performance.now();
  const stage = await makeStage(options.seed);
  const world: World = { ...stage, options, faults: new Map(), violations: new Set() };
  try {
    return await Promise.race([wholeRun(world, begin), interrupted(options.signal)]);
  } finally {
    await stage.close();
  }
}

async function wholeRun(world: World, begin: number): Promise<SuiteReport> {
  const { admin, options, workers } = world;
  await prepareChecks(admin);
  if (options.sabotage !== undefined) await admin.query(options.sabotage);
  await breakThings(world);
  await drain(world);
  await workers.reportLate();
  await check(world);
  return await reportOf(world, begin);
}

async function interrupted(signal: AbortSignal | undefined): Promise<never> {
  return await new Promise((_resolve, reject) =>
    signal?.addEventListener("abort", () => reject(new Error("the suite was interrupted")), { once: true }),
  );
}

/** Two hands break things at the same time, somebody files and edits, and somebody looks. */
async function breakThings(world: World): Promise<void> {
  const healing = new AbortController();
  const people = [fileAlong(world, healing.signal), editAlong(world, healing.signal), lookAlong(world, healing.signal)];
  await eventually("an engine leads", () => world.fleet.leader() !== null);
  const hands = [
    breakWith(world, { brief: CLUSTER_FAULTS, lasting: LONG_CLUSTER_FAULTS }, healing.signal),
    breakWith(world, { brief: ENGINE_FAULTS, lasting: LONG_ENGINE_FAULTS }, healing.signal),
  ];
  try {
    await Promise.race([Promise.all(hands), Promise.all(people)]);
    await Promise.all(hands);
  } finally {
    healing.abort();
    await Promise.allSettled([...hands, ...people]);
  }
  await Promise.all(people);
}

interface Hand {
  brief: Record<string, Fault>;
  /** Only in a long run, in its first round and every fifth after it: little else happens meanwhile. */
  lasting: Record<string, Fault>;
}

/** Every fault once, in an order of the seed; in a long run round after round until all tasks are filed. */
async function breakWith(world: World, { brief, lasting }: Hand, healing: AbortSignal): Promise<void> {
  const { options, faults: counts, filing } = world;
  const random = seededRandom(`${options.seed} ${Object.keys(brief).join()}`);
  const isLong = options.faults === "long";
  for (let round = 0; round === 0 || (isLong && filing.filed.size < options.tasks); round++) {
    const faults: Record<string, Fault> = { ...brief, ...(isLong && round % 5 === 0 ? lasting : {}) };
    for (const name of shuffled(Object.keys(faults), random)) {
      if (healing.aborted || world.violations.size > 20) return;
      await pause(isLong ? random.between(500, 5_000) : random.between(100, 600), healing);
      const outcome = await faults[name]?.({ ...world, random, healing });
      if (outcome === null || outcome === undefined) continue;
      const what = `${name}: ${outcome}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
      options.say(what);
    }
  }
}

async function fileAlong({ options, filing, admin }: World, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && filing.filed.size < options.tasks) {
    const { rows } = await admin.query("select count(*)::integer as pending from tasks where status = 'pending'");
    const room = options.mostPending - rows[0].pending;
    const wanted = Math.min(options.tasks - filing.filed.size, room, options.faults === "short" ? 5 : 20);
    if (wanted > 0) await filing.file(wanted);
    await pause(300, signal);
  }
  // Whatever the faults cut short.
  if (filing.filed.size < options.tasks) await filing.file(options.tasks - filing.filed.size);
}

async function editAlong({ edits, random, options }: World, signal: AbortSignal): Promise<void> {
  const [least, most] = options.faults === "short" ? [400, 1_500] : [200, 1_200];
  while (!signal.aborted) {
    await edits.edit();
    await pause(random.between(least, most), signal);
  }
}

async function lookAlong(world: World, signal: AbortSignal): Promise<void> {
  for (let look = 1; !signal.aborted; look++) {
    await check(world);
    if (look % 10 === 0) await sayHowFar(world);
    await pause(2_000, signal);
  }
}

/** Faults are over: everything that was filed comes to its end, every slot is free, nothing is left in the cluster. */
async function drain(world: World): Promise<void> {
  const { admin, edits, fleet, clients, namespace, options } = world;
  options.say("faults are over");
  for (const engine of fleet.engines) fleet.start(engine);
  await edits.openGates();
  const endsWithout = async (what: string, left: () => Promise<number>): Promise<void> => {
    let last = 0;
    await eventually(what, async () => (last = await left()) === 0, DRAIN_MS).catch((error: unknown) =>
      violated(world, [`${(error as Error).message}: ${last} left`]),
    );
  };
  await endsWithout("all tasks are completed, all runs are over", async () => {
    // Somebody impatient: the later pauses between repeated attempts are minutes long, and not what is tested.
    await admin.query(`select reschedule(task_id) from runs r
      where retry_at > myzel_now() + interval '4 seconds'
        and exists (select from tasks t where t.id = r.task_id and t.status = 'pending')`);
    const { rows } = await admin.query(`select (select count(*) from tasks where status <> 'completed')
      + (select count(*) from runs where finished_at is null) as left`);
    await delay(200);
    return Number(rows[0].left);
  });
  await endsWithout("all Jobs and pods are removed", async () => {
    await delay(500);
    const jobs = await clients.batch.listNamespacedJob({ namespace });
    const pods = await clients.core.listNamespacedPod({ namespace });
    return jobs.items.length + pods.items.length;
  });
}

async function check(world: World): Promise<void> {
  const { admin, filing, edits, fleet, workers } = world;
  violated(world, await databaseViolations(admin));
  const filed = new Map(filing.filed); // before the rows: what is filed meanwhile is not lost
  const rows = await readHistory(admin);
  violated(world, violationsOf({ ...rows, jobs: [...workers.records], filed, capacities: edits.capacities }));
  violated(world, [...filing.broken, ...edits.broken, ...fleet.crashes]);
}

/** Said at once, so that a long run need not end to be understood. */
function violated({ violations, options }: World, sentences: readonly string[]): void {
  for (const sentence of sentences) {
    if (!violations.has(sentence)) options.say(`VIOLATED: ${sentence}`);
    violations.add(sentence);
  }
}

async function sayHowFar({ admin, filing, options, violations, fleet }: World): Promise<void> {
  const { rows } = await admin.query(`select count(*) filter (where status = 'completed')::integer as completed,
    count(*) filter (where status = 'pending')::integer as pending from tasks`);
  const [{ completed, pending }] = rows as [{ completed: number; pending: number }];
  const far = `${filing.filed.size} filed, ${pending} pending, ${completed} completed`;
  options.say(`${far}, epoch ${fleet.newestEpoch()}, ${violations.size} violations`);
}

async function reportOf(world: World, begin: number): Promise<SuiteReport> {
  const { admin, workers, filing, fleet } = world;
  const { rows } = await admin.query(
    "select (select count(*) from runs)::integer as runs, epoch::integer as epochs from engine_state",
  );
  return {
    violations: [...world.violations],
    faults: sorted(world.faults),
    edits: sorted(world.edits.counts),
    tasks: filing.filed.size,
    runs: rows[0].runs,
    pods: workers.records.length,
    turnedAway: workers.records.filter(({ briefAt }) => briefAt === null).length,
    epochs: rows[0].epochs,
    seconds: Math.round((performance.now() - begin) / 1000),
    complaints: sorted(fleet.complaints),
  };
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  return list
    .map((one) => ({ one, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].toSorted(([a], [b]) => a.localeCompare(b)));
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
