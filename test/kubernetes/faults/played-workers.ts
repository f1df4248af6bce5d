/**
 * What the phases of every pod do, for a played kubelet: checkout binds the run with its token, publish writes the
 * report, both by the pod's login. Keeps the suite's own evidence of which pod really worked from when to when.
 *
 * A pod's program has always ended before its kubelet says that the pod has: its last word waits for the program, and
 * nothing of the pod happens after it.
 */
import type { CoreV1Api, V1Pod } from "@kubernetes/client-node";
import pg from "pg";
import { LABELS } from "../../../engine/launch/kubernetes/labels.ts";
import { POD_SECRET_KEYS, podSecretName } from "../../../engine/launch/kubernetes/launcher-settings.ts";
import { EXIT } from "../../../worker-image/contract.ts";
import type { JobRecord } from "../../fault/job-protocol.ts";
import { doneReport } from "../../support/instant-launcher.ts";
import type { AutoKubeletOptions } from "../support/auto-kubelet.ts";
import type { Clients } from "../support/clients.ts";
import { Overtaken, patientCalls } from "../support/patient-calls.ts";
import { bringPodTo } from "../support/played-pod.ts";
import { failed, type Moment } from "../support/pod-moments.ts";
import { podFate, type PodFate } from "./pod-fate.ts";

export interface PlayedWorkers extends Required<Pick<AutoKubeletOptions, "plan" | "act">> {
  /** For the kubelet, whose last word of a pod they note. */
  readonly clients: Clients;
  /** One for each pod whose program began. */
  readonly records: readonly JobRecord[];
  /** The programs that are still at work end here and now, and nobody tells the API server. */
  machineDied(): void;
  /** When every run is over: tries every token once more, and notes where a report was taken. */
  reportLate(): Promise<void>;
  close(): Promise<void>;
}

interface Worker {
  readonly record: JobRecord;
  readonly fate: PodFate;
  /** The run's own half. */
  readonly tokenHalf: string;
  /** Of the phase that is at work. */
  program: Promise<unknown>;
}

interface World {
  clients: Clients;
  namespace: string;
  pool: pg.Pool;
  call: <T>(request: () => Promise<T>) => Promise<T>;
  workers: Map<string, Worker>;
  /** The kubelet's last words, by pod. */
  over: Map<string, unknown>;
  sharedHalf: Promise<string> | null;
}

export interface WorkersOptions {
  clients: Clients;
  namespace: string;
  /** The pod's login. */
  podUrl: string;
  seed: string;
}

export function playedWorkers({ clients, namespace, podUrl, seed }: WorkersOptions): PlayedWorkers {
  const workers = new Map<string, Worker>();
  const stopping = new AbortController();
  const patiently = patientCalls(20);
  const world: World = {
    clients,
    namespace,
    pool: new pg.Pool({ connectionString: podUrl, max: 10 }),
    call: (request) => patiently(request, stopping.signal),
    workers,
    over: new Map(),
    sharedHalf: null,
  };
  world.clients = { ...clients, core: withLastWords(clients.core, world) };
  world.pool.on("error", () => undefined); // the database is dropped at the end
  return {
    clients: world.clients,
    get records() {
      return [...workers.values()].map(({ record }) => record);
    },
    plan: (pod) => podFate(seed, jobNameOf(pod)).steps,
    act: async (pod, moment) => await act(world, pod, { moment, fate: podFate(seed, jobNameOf(pod)) }),
    machineDied: () => {
      for (const { record } of workers.values()) record.deadAt ??= Date.now();
    },
    reportLate: async () => {
      for (const [podName, worker] of workers) {
        worker.record.lateReportTaken = await writeReport(world, podName, worker);
      }
    },
    close: async () => {
      stopping.abort();
      await world.pool.end();
    },
  };
}

/** @throws Overtaken where the pod has ended or was turned away: there is nothing more to play */
async function act(world: World, pod: V1Pod, { moment, fate }: { moment: Moment; fate: PodFate }): Promise<void> {
  const podName = pod.metadata?.name ?? "";
  if (world.over.has(podName)) throw new Overtaken("the pod has ended");
  if (moment.phase !== "Running" || moment.container === "agent") return;
  const worker = world.workers.get(podName) ?? newWorker(pod, fate);
  world.workers.set(podName, worker);
  const isCheckout = moment.container === "checkout";
  const work = isCheckout ? checkOut(world, podName, worker) : publish(world, podName, worker);
  worker.program = work.catch(() => undefined);
  if (await work) return;
  const turnedAway = failed(isCheckout ? "checkout" : "publish", EXIT.fenced);
  await world.call(() => bringPodTo(world.clients, pod, turnedAway));
  throw new Overtaken("the pod was turned away");
}

function newWorker(pod: V1Pod, fate: PodFate): Worker {
  const { labels, annotations } = pod.metadata ?? {};
  const env = pod.spec?.initContainers?.[0]?.env ?? [];
  const token = env.find(({ name }) => name === "MYZEL_RUN_TOKEN")?.value ?? "";
  const record: JobRecord = {
    jobName: jobNameOf(pod),
    runId: labels?.[LABELS.run] ?? "",
    taskId: labels?.[LABELS.task] ?? "",
    addressee: annotations?.[LABELS.addressee] ?? "",
    instance: 1,
    launchedAt: Date.now(),
    briefAt: null,
    deadAt: null,
    report: null,
    reportSuccess: null,
    reportCode: null,
    children: 0,
    removed: false,
    lateReportTaken: false,
  };
  return { record, fate, tokenHalf: token.replace("$(MYZEL_TOKEN_HALF)", ""), program: Promise.resolve() };
}

/** Whether it was not turned away. */
async function checkOut(world: World, podName: string, worker: Worker): Promise<boolean> {
  const login = await loginOf(world, podName, worker);
  const accepted = await unlessFenced(world.pool.query("select load_brief($1, $2, $3)", login));
  // A little later than the truth, which no check minds.
  if (accepted) worker.record.briefAt = Date.now();
  return accepted;
}

/** Whether it was not turned away. */
async function publish(world: World, podName: string, worker: Worker): Promise<boolean> {
  const { record, fate } = worker;
  if (fate.reported === null) return true;
  record.reportSuccess = fate.reported === "success";
  record.reportCode = record.reportSuccess ? null : fate.reported;
  record.report = "unknown";
  const taken = await writeReport(world, podName, worker);
  record.report = taken ? "acknowledged" : "refused";
  return taken;
}

async function writeReport(world: World, podName: string, worker: Worker): Promise<boolean> {
  const { record } = worker;
  const success = record.reportSuccess ?? true;
  const failure = success ? {} : { code: record.reportCode, error: "It could not be done." };
  const report = { ...doneReport, success, ...failure, summary: `done by ${record.runId}` };
  const login = await loginOf(world, podName, worker);
  return await unlessFenced(world.pool.query("select write_report($1, $2, $3, $4, true)", [...login, report]));
}

/** As the kubelet puts the environment together. */
async function loginOf(world: World, podName: string, { record, tokenHalf }: Worker): Promise<string[]> {
  world.sharedHalf ??= readSharedHalf(world);
  return [record.runId, tokenHalf + (await world.sharedHalf), podName];
}

async function readSharedHalf({ clients, namespace, call }: World): Promise<string> {
  const key = { namespace, name: podSecretName("test") };
  const { data } = await call(() => clients.core.readNamespacedSecret(key));
  return Buffer.from(data?.[POD_SECRET_KEYS.tokenHalf] ?? "", "base64").toString();
}

async function unlessFenced(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "MZ003") return false;
    throw error;
  }
}

/**
 * What is said of a pod reaches the API server in order; the last word waits for the program, and is the last. Said
 * again, perhaps by one who knew less (the pod was deleted just then), it is the same word.
 */
function withLastWords(core: CoreV1Api, { workers, over }: Pick<World, "workers" | "over">): CoreV1Api {
  const said = new Map<string, Promise<unknown>>();
  const telling = Object.create(core) as CoreV1Api;
  telling.patchNamespacedPodStatus = async (request, options) => {
    const { name, body } = request;
    const phase = (body as { status?: { phase?: string } }).status?.phase;
    const isLast = phase === "Succeeded" || phase === "Failed";
    if (!isLast && over.has(name)) throw new Overtaken("the pod has ended");
    if (isLast && !over.has(name)) over.set(name, body);
    const before = said.get(name) ?? Promise.resolve();
    const saying = before.then(async () => {
      const worker = workers.get(name);
      if (isLast && worker !== undefined) {
        await worker.program;
        worker.record.deadAt ??= Date.now();
      }
      return await core.patchNamespacedPodStatus(isLast ? { ...request, body: over.get(name) } : request, options);
    });
    said.set(
      name,
      saying.catch(() => undefined),
    );
    return await saying;
  };
  return telling;
}

function jobNameOf(pod: V1Pod): string {
  return pod.metadata?.labels?.["batch.kubernetes.io/job-name"] ?? "";
}
