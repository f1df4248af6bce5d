/**
 * What a waiting addressee feels of a run's end, without load, one run after the other: report stored (the call of
 * `write_report` has returned) → task completed; pod Succeeded (the API server has taken the status) → slot free.
 *
 * Seen by asking the database every other millisecond, on a connection of its own. What a real node adds, one to two
 * seconds until it says that a process has ended, is not in it.
 */
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { runToken } from "../../../engine/domain/run-token.ts";
import { doneReport } from "../../../test/support/instant-launcher.ts";
import { bindPod, bringPodTo, podOfJob } from "../../../test/kubernetes/support/played-pod.ts";
import { running, succeeded } from "../../../test/kubernetes/support/pod-moments.ts";
import { quantile } from "../../queue/figures.ts";
import type { Stage } from "../stage.ts";

const TIMEOUT_MS = 30_000;
/** Of what is forgotten: connections and compiled code are warm then. */
const WARM_UP = 5;

export interface Ends {
  runs: number;
  report_to_completed_p50_ms: number;
  report_to_completed_p99_ms: number;
  pod_ended_to_slot_free_p50_ms: number;
  pod_ended_to_slot_free_p99_ms: number;
}

export async function measureEnds(stage: Stage, runs: number): Promise<Ends> {
  const engine = await stage.startEngine();
  const pod = new pg.Client({ connectionString: stage.logins.pod });
  await pod.connect();
  try {
    const runKey = await stage.runKey();
    const samples: Sample[] = [];
    for (let i = 0; i < runs + WARM_UP; i++) samples.push(await oneRun(stage, pod, runKey));
    const completed = samples.slice(WARM_UP).map(({ completedMs }) => completedMs);
    const free = samples.slice(WARM_UP).map(({ freeMs }) => freeMs);
    return {
      runs,
      report_to_completed_p50_ms: quantile(completed, 0.5),
      report_to_completed_p99_ms: quantile(completed, 0.99),
      pod_ended_to_slot_free_p50_ms: quantile(free, 0.5),
      pod_ended_to_slot_free_p99_ms: quantile(free, 0.99),
    };
  } finally {
    await pod.end();
    await engine.stop();
  }
}

interface Sample {
  completedMs: number;
  freeMs: number;
}

async function oneRun({ clients, database, namespace, node }: Stage, login: pg.Client, key: Buffer): Promise<Sample> {
  const inserted = await database.query("insert into tasks (addressee, prompt) values ('ends', 'p') returning id");
  const task: string = inserted.rows[0].id;
  const launched = "select id, job_name from runs where task_id = $1 and launched_at is not null";
  const run = await ask<{ id: string; job_name: string }>(database, launched, task);
  const pod = await podOfJob(clients, { namespace, name: run.job_name });
  await bindPod(clients, pod, node);
  await bringPodTo(clients, pod, running("publish"));
  const caller = [run.id, runToken(key, run.id), pod.metadata?.name];
  await login.query("select load_brief($1, $2, $3)", caller);

  await login.query("select write_report($1, $2, $3, $4, true)", [...caller, doneReport]);
  const stored = performance.now();
  await ask(database, "select from tasks where id = $1 and status = 'completed'", task);
  const completedMs = performance.now() - stored;

  await bringPodTo(clients, pod, succeeded());
  const ended = performance.now();
  await ask(database, "select from runs where task_id = $1 and finished_at is not null", task);
  return { completedMs, freeMs: performance.now() - ended };
}

/** The row, as soon as there is one. */
async function ask<Row extends object>(database: pg.Client, text: string, task: string): Promise<Row> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (performance.now() < deadline) {
    const { rows } = await database.query<Row>({ name: text.slice(0, 60), text, values: [task] });
    if (rows[0] !== undefined) return rows[0];
    await delay(1);
  }
  throw new Error(`waited ${TIMEOUT_MS} ms in vain: ${text}`);
}
