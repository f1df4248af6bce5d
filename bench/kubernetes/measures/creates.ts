/**
 * Jobs created a second: by the engine (claim, launcher, create, note), from the INSERT's commit to the last answer of the API
 * server, and by the bare loop. Turn by turn, each beginning when nothing of the turn before is left; the one that
 * begins changes with every round.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { eventually } from "../../../test/support/waiting.ts";
import { median, round } from "../../queue/figures.ts";
import { cpuTimes, spentMs, type CpuTimes } from "../cpu-time.ts";
import { NODE_FLAGS } from "../engine-process.ts";
import type { EngineProcess } from "../engine-process.ts";
import type { Stage } from "../stage.ts";

const TURN_TIMEOUT_MS = 120_000;

interface Turn {
  per_second: number;
  /** Processor time while the Jobs were created, ms a Job. */
  cpu_ms_per_job: CpuTimes;
}

export interface Creates {
  jobs_a_turn: number;
  engine_per_second: number;
  bare_per_second: number;
  /** Median of the rounds' shares. */
  share: number;
  engine_cpu_ms_per_job: CpuTimes;
  bare_cpu_ms_per_job: CpuTimes;
  /** Every turn's rate, in the order of the rounds. */
  engine_turns: number[];
  bare_turns: number[];
}

export async function measureCreates(stage: Stage, options: { rounds: number; jobs: number }): Promise<Creates> {
  const engine = await stage.startEngine();
  const bare = await startBareLoop(stage);
  try {
    const turns: { engine: Turn; bare: Turn }[] = [];
    // The first round warms both up, and is forgotten.
    for (let i = 0; i <= options.rounds; i++) {
      const first = i % 2 === 0 ? await engineTurn(stage, engine, options.jobs) : null;
      const bareTurnDone = await bareTurn(stage, bare, options.jobs);
      turns.push({ engine: first ?? (await engineTurn(stage, engine, options.jobs)), bare: bareTurnDone });
    }
    return summary(turns.slice(1), options.jobs);
  } finally {
    await bare.stop();
    await engine.stop();
  }
}

async function engineTurn(stage: Stage, engine: EngineProcess, jobs: number): Promise<Turn> {
  const turn = await timed(stage, { name: "creator", pid: engine.pid }, jobs, async () => {
    const wanted = engine.launched + jobs;
    await stage.insertTasks(jobs);
    const begin = performance.now();
    await engine.untilLaunched(wanted, TURN_TIMEOUT_MS);
    return performance.now() - begin;
  });
  await untilPods(stage, stage.namespace, jobs);
  await stage.clearTasks();
  return turn;
}

async function bareTurn(stage: Stage, bare: BareLoop, jobs: number): Promise<Turn> {
  const turn = await timed(stage, { name: "creator", pid: bare.pid }, jobs, () => bare.make(jobs));
  await untilPods(stage, stage.bareNamespace, jobs);
  await stage.clearBareJobs();
  return turn;
}

async function timed(
  stage: Stage,
  creator: { name: string; pid: number },
  jobs: number,
  create: () => Promise<number>,
): Promise<Turn> {
  const pids = { [creator.name]: creator.pid, ...stage.pids };
  const before = await cpuTimes(pids, ["Postgres"]);
  const elapsedMs = await create();
  const spent = spentMs(before, await cpuTimes(pids, ["Postgres"]));
  const perJob = Object.fromEntries(Object.entries(spent).map(([name, ms]) => [name, round(ms / jobs)]));
  return { per_second: jobs / (elapsedMs / 1000), cpu_ms_per_job: perJob };
}

async function untilPods(stage: Stage, namespace: string, jobs: number): Promise<void> {
  await eventually(
    "every Job has its pod",
    async () => (await stage.count("pods", namespace)) >= jobs,
    TURN_TIMEOUT_MS,
  );
}

interface BareLoop {
  readonly pid: number;
  /** Milliseconds that creating so many took. */
  make(count: number): Promise<number>;
  stop(): Promise<void>;
}

async function startBareLoop({ kubeconfig, bareNamespace }: Stage): Promise<BareLoop> {
  const child = fork(join(import.meta.dirname, "..", "bare-loop.ts"), {
    env: { ...process.env, KUBECONFIG: kubeconfig, MYZEL_NAMESPACE: bareNamespace },
    execArgv: NODE_FLAGS,
  });
  const ended = once(child, "exit").then(() => {
    throw new Error("the bare loop ended");
  });
  ended.catch(() => undefined);
  await Promise.race([once(child, "message"), ended]);
  return {
    pid: child.pid ?? 0,
    make: async (make) => {
      const answer = once(child, "message");
      child.send({ make });
      const [{ elapsedMs }] = (await Promise.race([answer, ended])) as [{ elapsedMs: number }];
      return elapsedMs;
    },
    stop: async () => {
      child.disconnect();
      await ended.catch(() => undefined);
    },
  };
}

function summary(rounds: readonly { engine: Turn; bare: Turn }[], jobs: number): Creates {
  const middle = (values: number[]): number => median(values) ?? 0;
  const cpu = (turns: Turn[]): CpuTimes => {
    const names = Object.keys(turns[0]?.cpu_ms_per_job ?? {});
    return Object.fromEntries(names.map((name) => [name, middle(turns.map((turn) => turn.cpu_ms_per_job[name] ?? 0))]));
  };
  const engines = rounds.map(({ engine }) => engine);
  const bares = rounds.map(({ bare }) => bare);
  return {
    jobs_a_turn: jobs,
    engine_per_second: middle(engines.map(({ per_second }) => per_second)),
    bare_per_second: middle(bares.map(({ per_second }) => per_second)),
    share: middle(rounds.map(({ engine, bare }) => engine.per_second / bare.per_second)),
    engine_cpu_ms_per_job: cpu(engines),
    bare_cpu_ms_per_job: cpu(bares),
    engine_turns: engines.map(({ per_second }) => round(per_second)),
    bare_turns: bares.map(({ per_second }) => round(per_second)),
  };
}
