/**
 * One run of the fault suite: tasks are filed and edited while engines, the database and the network
 * between them are broken, all from one seed; every invariant is checked after each step, in calm moments
 * and at the end. A seed fixes what is tried and in which order; how it meets the engines' own timing does
 * not repeat exactly.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { databaseViolations, prepareChecks, startingHeads } from "./check-database.ts";
import { epicViolationsOf } from "./check-epics.ts";
import { violationsOf } from "./check-history.ts";
import { startDatabaseServer, through } from "./database-server.ts";
import type { DatabaseServer } from "./database-server.ts";
import { engineFleet } from "./engine-fleet.ts";
import type { EngineFleet } from "./engine-fleet.ts";
import { answerOne, epicLife, prepareProjects } from "./epic-life.ts";
import type { EpicLife } from "./epic-life.ts";
import { epicViolations, prepareWitness, promptViolations, readEpicHistory } from "./epic-witness.ts";
import { chooseFault, FAULT_NAMES, makeFault } from "./faults.ts";
import type { FaultName } from "./faults.ts";
import { filings, isConnectionError, untilCertain } from "./filing.ts";
import type { Filings } from "./filing.ts";
import { handEdits } from "./hand-edits.ts";
import type { HandEdits } from "./hand-edits.ts";
import { readHistory } from "./history.ts";
import { jobClient } from "./job-client.ts";
import type { JobClient } from "./job-client.ts";
import { startProxy } from "./proxy.ts";
import type { Proxy } from "./proxy.ts";
import { seededRandom } from "./random.ts";
import type { Random } from "./random.ts";

export interface SuiteOptions {
  seed: string;
  /** How many tasks are filed, at least. */
  tasks: number;
  /** How many faults really happen, at least. */
  faults: number;
  /** Calm moments come after so many steps. */
  calmEvery: number;
  /** Only these faults; default: all. */
  only?: readonly FaultName[] | undefined;
  /** Told what goes on. */
  say: (line: string) => void;
  /** SQL that breaks a guarantee on purpose, run after the migrations: the suite must notice. */
  sabotage?: string | undefined;
  /** Ends the run at once, and everything that was started for it. */
  signal?: AbortSignal;
}

export interface SuiteReport {
  violations: string[];
  /** Faults that really happened, by name and what came of it. */
  faults: Record<string, number>;
  edits: Record<string, number>;
  notifications: { dropped: number; delayed: number };
  tasks: number;
  /** How epics ended, with how often. */
  epics: Record<string, number>;
  /** Results that were told to a Green. */
  told: number;
  runs: number;
  epochs: number;
  seconds: number;
  /** Errors that engines logged, with how often. */
  complaints: Record<string, number>;
}

/** Runs of so many tasks at most wait at a time, so that faults and tasks end together. */
const MOST_PENDING = 1_500;
/** So many other tasks are filed along with an epic. */
const TASKS_AN_EPIC = 12;
const MOST_FAULTS_AT_ONCE = 4;
const DRAIN_MS = 180_000;
/** Poll interval of the engines, and room for a slow machine. */
const STARTS_WITHIN_MS = 20_000;

/** What engines may log as errors while the database and the job server come and go. */
const EXPLAINED = /cannot be reached|connection to the job server broke|driver has already been destroyed/;

interface World {
  options: SuiteOptions;
  random: Random;
  server: DatabaseServer;
  fleet: EngineFleet<Proxy>;
  jobs: JobClient;
  proxies: Proxy[];
  admin: pg.Pool;
  filing: Filings;
  edits: HandEdits;
  epics: EpicLife;
  faults: Map<string, number>;
  violations: Set<string>;
}

/** @throws Error where the suite itself cannot go on; violations are in the report */
export async function runSuite(options: SuiteOptions): Promise<SuiteReport> {
  const begin = performance.now();
  const closers: (() => unknown)[] = [];
  try {
    const world = await makeWorld(options, closers);
    return await Promise.race([wholeRun(world, begin), interrupted(options.signal)]);
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

async function wholeRun(world: World, begin: number): Promise<SuiteReport> {
  await breakThings(world);
  await drain(world);
  await checkHistory(world, true);
  return await reportOf(world, begin);
}

async function interrupted(signal: AbortSignal | undefined): Promise<never> {
  return await new Promise((_resolve, reject) =>
    signal?.addEventListener("abort", () => reject(new Error("the suite was interrupted")), { once: true }),
  );
}

/** Everything that runs; what ends it goes to `closers`, first made last. */
async function makeWorld(options: SuiteOptions, closers: (() => unknown)[]): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), "myzel-fault-"));
  await chmod(directory, 0o711); // where we are root, the server runs as somebody else
  closers.push(() => rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  const server = await startDatabaseServer(join(directory, "data"));
  closers.push(() => server.stop());
  const proxies = [await startProxy(server.port), await startProxy(server.port)];
  const [forPeople, forPods] = proxies as [Proxy, Proxy];
  for (const proxy of proxies) closers.push(() => proxy.close());
  const jobSocket = join(directory, "jobs.sock");
  closers.push(
    await startJobServer({ jobSocket, seed: options.seed, podUrl: through(server.logins.pod, forPods.port) }),
  );
  const jobs = jobClient(jobSocket);
  closers.push(() => jobs.close());

  const admin = openPool(server.adminUrl, 3, closers);
  const filingPool = openPool(through(server.logins.operator, forPeople.port), 4, closers);
  const editingPool = openPool(server.logins.operator, 3, closers);
  await prepareChecks(admin);
  await prepareWitness(admin);
  await prepareProjects(admin);
  if (options.sabotage !== undefined) await admin.query(options.sabotage);
  await admin.query("insert into credentials (name) values ('limited')");
  await admin.query(
    `insert into profiles (name, role, addressee_pattern, credential, may_create_tasks)
       values ('limited', 'red', 'limited-%', 'limited', false), ('lead', 'red', 'lead-%', 'default', true)`,
  );
  const fleet = await engineFleet({
    count: 3,
    program: join(import.meta.dirname, "engine-process.ts"),
    newProxy: () => startProxy(server.port),
    environmentOf: ({ port }) => ({
      FAULT_ENGINE_URL: through(server.logins.engine, port),
      FAULT_JOB_SOCKET: jobSocket,
    }),
  });
  closers.push(() => fleet.close());
  for (const engine of fleet.engines) fleet.start(engine);

  const filing = filings(filingPool, seededRandom(`${options.seed} filing`));
  return {
    options,
    random: seededRandom(`${options.seed} faults`),
    server,
    fleet,
    jobs,
    proxies,
    admin,
    filing,
    edits: handEdits(editingPool, filing.filed, seededRandom(`${options.seed} edits`)),
    epics: epicLife(editingPool, filing.filed, seededRandom(`${options.seed} epics`)),
    faults: new Map(),
    violations: new Set(),
  };
}

async function startJobServer(options: {
  jobSocket: string;
  seed: string;
  podUrl: string;
}): Promise<() => Promise<void>> {
  const child = fork(join(import.meta.dirname, "job-server.ts"), [options.jobSocket, options.seed], {
    env: { PATH: process.env["PATH"], FAULT_POD_URL: options.podUrl },
  });
  await once(child, "message");
  return async () => {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
}

function openPool(url: string, max: number, closers: (() => unknown)[]): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  closers.push(() => pool.end());
  return pool;
}

/** Steps until enough was filed and broken, with calm moments in between. */
async function breakThings(world: World): Promise<void> {
  const { options } = world;
  let broken = 0;
  while (broken < options.faults || world.filing.filed.size < options.tasks) {
    const done = await storm(world, broken);
    broken += done;
    await calm(world);
    await checkHistory(world, false);
    const { size } = world.filing.filed;
    options.say(
      `${broken} faults, ${size} tasks filed, epoch ${world.fleet.newestEpoch()}, ${world.violations.size} violations`,
    );
    if (world.violations.size > 20) return;
  }
}

/** Steps up to the next calm moment; returns how many faults really happened. */
async function storm(world: World, brokenBefore: number): Promise<number> {
  const { options, random } = world;
  const healing = new AbortController();
  const lasting = new Map<FaultName, Promise<void>>();
  const stopped = { value: false };
  let happened = 0;
  const people = [fileAlong(world, () => brokenBefore + happened, stopped), editAlong(world, stopped)];
  for (let step = 0; step < options.calmEvery; step++) {
    if (brokenBefore + happened < options.faults && lasting.size < MOST_FAULTS_AT_ONCE) {
      const name = chooseFault(random, options.only ?? FAULT_NAMES, new Set(lasting.keys()));
      if (name !== null) {
        const fault = oneFault(world, name, healing.signal).then((real) => {
          lasting.delete(name);
          if (real) happened++;
        });
        lasting.set(name, fault);
      }
    }
    await delay(random.between(100, 900));
    await checkStep(world);
  }
  healing.abort();
  stopped.value = true;
  await Promise.all([...lasting.values(), ...people]);
  return happened;
}

/** Returns whether it really happened. */
async function oneFault(world: World, name: FaultName, healing: AbortSignal): Promise<boolean> {
  const { server, fleet, proxies, random, faults } = world;
  const outcome = await makeFault(name, { server, fleet, otherProxies: proxies, random, healing }).catch((error) => {
    if (isConnectionError(error)) return null; // the server was just being restarted, or is full
    throw error;
  });
  if (outcome === null) return false;
  const what = `${name}: ${outcome}`;
  faults.set(what, (faults.get(what) ?? 0) + 1);
  return true;
}

/** Files tasks in step with the faults. */
async function fileAlong(world: World, broken: () => number, stopped: { value: boolean }): Promise<void> {
  const { options, filing, admin } = world;
  while (!stopped.value) {
    const share = options.faults === 0 ? 1 : Math.min(1, (broken() + options.calmEvery / 2) / options.faults);
    const wanted = Math.min(options.tasks, Math.ceil(options.tasks * share)) - filing.filed.size;
    const { rows } = await untilCertain(() =>
      admin.query("select count(*)::integer as pending from tasks where status = 'pending'"),
    );
    if (wanted > 0 && rows[0].pending < MOST_PENDING) {
      await world.epics.file();
      await filing.file(Math.min(wanted, TASKS_AN_EPIC));
    } else await delay(100);
  }
}

async function editAlong(world: World, stopped: { value: boolean }): Promise<void> {
  while (!stopped.value) {
    await world.edits.edit();
    if (world.random.chance(0.5)) await world.epics.edit();
    await delay(world.random.between(20, 250));
  }
}

/** Everything heals: gates open, engines up; then whatever nothing keeps from starting must start, notified or not. */
async function calm(world: World): Promise<void> {
  const { fleet, admin, edits, epics, random } = world;
  for (const engine of fleet.engines) fleet.start(engine);
  await edits.openGates();
  await epics.openGates();
  await waitFor("an engine leads", 90_000, () => engineIsLive(world));
  const deaf = random.chance(0.5);
  for (const { proxy } of fleet.engines) proxy.notifications = deaf ? "drop" : "pass";
  const epoch = fleet.newestEpoch();
  const waiting = await untilCertain(() => startingHeads(admin));
  const deadline = performance.now() + STARTS_WITHIN_MS;
  while (waiting.size > 0 && performance.now() < deadline) {
    await delay(250);
    const still = await untilCertain(() => startingHeads(admin));
    for (const id of waiting) if (!still.has(id)) waiting.delete(id);
  }
  for (const { proxy } of fleet.engines) proxy.notifications = "pass";
  if (fleet.newestEpoch() !== epoch) return; // a successor was still on its way: the next calm moment tells
  const late = `did not start within ${STARTS_WITHIN_MS} ms, and nothing kept it (deaf: ${deaf})`;
  violated(
    world,
    [...waiting].map((id) => `task ${id} ${late}`),
  );
}

async function engineIsLive({ admin, fleet }: World): Promise<boolean> {
  const { rows } = await untilCertain(() =>
    admin.query(
      "select epoch::integer, beat_at > myzel_now() - interval '4 seconds' as live from engine_state, engine_beat",
    ),
  );
  return rows[0].live === true && rows[0].epoch === fleet.newestEpoch() && fleet.leader() !== null;
}

/** Faults are over: everything that was filed comes to its end, every slot is free, every job is gone. */
async function drain(world: World): Promise<void> {
  const { admin, jobs } = world;
  await calm(world);
  try {
    await waitFor("all tasks are completed, all runs and epics are over", DRAIN_MS, async () => {
      await careForEpics(world);
      // Somebody impatient: the later pauses between repeated attempts are minutes long, and not what is tested.
      await untilCertain(() =>
        admin.query(`select reschedule(task_id) from runs r
          where retry_at > myzel_now() + interval '4 seconds'
            and exists (select from tasks t where t.id = r.task_id and t.status = 'pending')`),
      );
      await untilCertain(() =>
        admin.query("update credentials set blocked_until = null where blocked_until is not null"),
      );
      const { rows } = await untilCertain(() =>
        admin.query(`select (select count(*) from tasks where status <> 'completed')
          + (select count(*) from runs where finished_at is null)
          + (select count(*) from epics where state = 'active') as left`),
      );
      return Number(rows[0].left) === 0;
    });
    await waitFor("all jobs are removed", 90_000, async () => {
      const answer = await jobs.ask({ call: "observe" });
      return "observations" in answer && answer.observations.length === 0;
    });
  } catch (error) {
    violated(world, [(error as Error).message, ...(await leftOver(admin))]);
  }
}

/** What has not ended, and what it waits for. */
async function leftOver(admin: pg.Pool): Promise<string[]> {
  const { rows } = await untilCertain(() =>
    admin.query<{ what: string }>(
      `select format('task %s for %s is still %s: %s', t.id, t.addressee, t.status, w.explanation) as what
       from tasks t cross join lateral why_not_running(t.id) w where t.status <> 'completed' limit 20`,
    ),
  );
  return rows.map(({ what }) => what);
}

/** People answer; and what the engine looks for every five minutes (a wake-up that somebody deleted) it looks for now. */
async function careForEpics(world: World): Promise<void> {
  try {
    await untilCertain(() => answerOne(world.admin, world.random.chance(0.7)));
    await untilCertain(() => world.admin.query("select wake_idle_epics(epoch) from engine_state"));
  } catch (error) {
    violated(world, [`whoever cares for epics was refused: ${(error as Error).message}`]);
  }
}

async function checkStep(world: World): Promise<void> {
  violated(world, await untilCertain(() => databaseViolations(world.admin)));
  violated(world, await untilCertain(() => epicViolations(world.admin)));
  violated(world, [...world.filing.broken, ...world.edits.broken, ...world.epics.broken, ...world.fleet.crashes]);
  const unexplained = [...world.fleet.complaints.keys()].filter((complaint) => !EXPLAINED.test(complaint));
  violated(
    world,
    unexplained.map((complaint) => `an engine complains of what no fault explains: ${complaint}`),
  );
}

/** Said at once, so that a long run need not end to be understood. */
function violated({ violations, options }: World, sentences: readonly string[]): void {
  for (const sentence of sentences) {
    if (!violations.has(sentence)) options.say(`VIOLATED: ${sentence}`);
    violations.add(sentence);
  }
}

/** @param over everything has come to its end */
async function checkHistory(world: World, over: boolean): Promise<void> {
  await checkStep(world);
  violated(world, await untilCertain(() => promptViolations(world.admin)));
  const rows = await untilCertain(() => readHistory(world.admin));
  const ofEpics = await untilCertain(() => readEpicHistory(world.admin));
  const answer = await world.jobs.ask({ call: "history" });
  const jobs = "history" in answer ? answer.history : [];
  const { filed } = world.filing;
  violated(world, violationsOf({ ...rows, jobs, filed, capacities: world.edits.capacities }));
  violated(world, epicViolationsOf({ ...ofEpics, jobs, projects: world.epics.projects, over }));
}

async function reportOf(world: World, begin: number): Promise<SuiteReport> {
  const { rows } = await world.admin.query(
    `select (select count(*) from runs)::integer as runs, epoch::integer as epochs,
       (select count(*) from wake_up_results)::integer as told,
       (select jsonb_object_agg(code, number) from (
         select coalesce(end_code, state) as code, count(*) as number from epics group by 1 order by 1) e) as epics
     from engine_state`,
  );
  const disturbed = world.fleet.engines.map((engine) => engine.proxy.disturbed);
  return {
    violations: [...world.violations],
    faults: sorted(world.faults),
    edits: sorted(new Map([...world.edits.counts, ...world.epics.counts])),
    notifications: {
      dropped: disturbed.reduce((sum, { dropped }) => sum + dropped, 0),
      delayed: disturbed.reduce((sum, { delayed }) => sum + delayed, 0),
    },
    tasks: world.filing.filed.size,
    epics: rows[0].epics ?? {},
    told: rows[0].told,
    runs: rows[0].runs,
    epochs: rows[0].epochs,
    seconds: Math.round((performance.now() - begin) / 1000),
    complaints: Object.fromEntries(world.fleet.complaints),
  };
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].toSorted(([a], [b]) => a.localeCompare(b)));
}

async function waitFor(what: string, timeoutMs: number, ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain: ${what}`);
    await delay(100);
  }
}
