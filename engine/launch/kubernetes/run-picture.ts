/**
 * All runs of ours as the cluster shows them: from a watch's picture while that is fresh, else asked for.
 *
 * A run is never called gone by the picture alone: before one that was alive is missing from an answer, or is
 * shown with a finished Job and no pod, the API server is asked for it, for the pods' watch may be behind.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Api } from "./api.ts";
import { followObjects, type Following } from "./follow-objects.ts";
import { jobSelectorOf, runSelectorOf, selectorOf } from "./labels.ts";
import { listObjects, type ObjectKind } from "./list-objects.ts";
import type { SeenRun } from "./observe-run.ts";
import { seenJob, seenPod, type JobJson, type PodJson, type SeenJob, type SeenPod } from "./seen.ts";
import { createSeenObjects } from "./seen-objects.ts";

export interface RunPicture {
  /** Every run of which something exists. @throws ApiError where the cluster had to be asked and did not answer */
  runs(): Promise<Map<string, SeenRun>>;
  /** What is known of one run right now; null: nothing of it exists. @throws ApiError */
  run(jobName: string): Promise<SeenRun | null>;
  /** A Job that we have just made: it is in every answer from now on. */
  made(job: SeenJob): void;
  /** Says whether something of a run is alive: if so, it is asked for before it is left out of an answer. */
  noteAlive(runId: string, isAlive: boolean): void;
  /** Follows the cluster from now on and calls `wake` when something has changed. Returns the way to stop. */
  watch(wake: () => void): () => Promise<void>;
  /** Ends every watch. */
  close(): Promise<void>;
}

export interface PictureOptions {
  api: Api;
  instance: string;
  log: Logger;
  /** For tests. */
  silenceMs?: number | undefined;
}

/** A watch that has said nothing for longer than it takes to open it anew is not believed. */
const FRESH_MS = 30_000;

const FIRST_LISTS_MS = 15_000;

/** When more than these have vanished at once, one list is cheaper than asking for each. */
const ASK_SINGLY = 20;

interface Painting {
  jobs: ReturnType<typeof createSeenObjects<SeenJob>>;
  pods: ReturnType<typeof createSeenObjects<SeenPod>>;
  followings: Following[];
}

export function createRunPicture({ api, instance, log, silenceMs }: PictureOptions): RunPicture {
  const kinds = kindsIn(api.namespace);
  const selector = selectorOf(instance);
  const wakes = new Set<() => void>();
  const alive = new Set<string>();
  let painting: Painting | null = null;

  const begin = (): Painting => {
    const changed = (): void => wakes.forEach((wake) => wake());
    const jobs = createSeenObjects<SeenJob>(({ name }) => name, changed);
    const pods = createSeenObjects<SeenPod>(({ jobName }) => jobName, changed);
    const options = { selector, log, silenceMs };
    const followings = [followObjects(api, kinds.jobs, jobs, options), followObjects(api, kinds.pods, pods, options)];
    return { jobs, pods, followings };
  };
  const end = async (): Promise<void> => {
    const followings = painting?.followings ?? [];
    painting = null;
    alive.clear();
    await Promise.all(followings.map((one) => one.stop()));
  };
  const isFresh = ({ followings }: Painting): boolean => followings.every((one) => one.silenceMs() < FRESH_MS);
  const ask = (which: string) => askFor(api, kinds, which);

  /** Looks for what is missing in the picture though it was there, or must have been, and adds what there is. */
  const addMissed = async (runs: Map<string, SeenRun>): Promise<void> => {
    const missing = [...alive].filter((runId) => isDoubtful(runs.get(runId)));
    const selectors = missing.length > ASK_SINGLY ? [selector] : missing.map((id) => runSelectorOf(instance, id));
    const answers = await Promise.all(selectors.map(ask));
    for (const { jobs, pods } of answers) {
      for (const job of jobs) painting?.jobs.changed(job);
      for (const pod of pods) painting?.pods.changed(pod);
      for (const [runId, run] of group(jobs, pods)) if (isDoubtful(runs.get(runId))) runs.set(runId, run);
    }
    for (const runId of missing) alive.delete(runId);
  };

  return {
    runs: async () => {
      if (painting !== null) await firstLists(painting);
      if (painting === null || !isFresh(painting)) {
        const { jobs, pods } = await ask(selector);
        return group(jobs, pods);
      }
      const runs = group(painting.jobs.all(), painting.pods.all());
      await addMissed(runs);
      return runs;
    },
    run: async (jobName) => {
      const { jobs, pods } =
        painting !== null && isFresh(painting)
          ? { jobs: painting.jobs.ofJob(jobName), pods: painting.pods.ofJob(jobName) }
          : await ask(jobSelectorOf(instance, jobName));
      return [...group(jobs, pods).values()][0] ?? null;
    },
    made: (job) => {
      painting?.jobs.changed(job);
      alive.add(job.runId);
    },
    noteAlive: (runId, isAlive) => {
      if (isAlive) alive.add(runId);
      else alive.delete(runId);
    },
    watch: (wake) => {
      wakes.add(wake);
      painting ??= begin();
      return async () => {
        wakes.delete(wake);
        if (wakes.size === 0) await end();
      };
    },
    close: end,
  };
}

/** So that an engine that begins does not list everything twice; a list that takes longer is made again. */
async function firstLists({ followings }: Painting): Promise<void> {
  const late = new AbortController();
  const lists = Promise.all(followings.map(({ begun }) => begun));
  await Promise.race([lists, delay(FIRST_LISTS_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
  late.abort();
}

/** A run that we have seen alive cannot look like this, unless it is over. */
function isDoubtful(run: SeenRun | undefined): boolean {
  return run === undefined || (run.pods.length === 0 && run.job !== null && run.job.finished !== null);
}

interface Kinds {
  jobs: ObjectKind<SeenJob>;
  pods: ObjectKind<SeenPod>;
}

function kindsIn(namespace: string): Kinds {
  return {
    jobs: {
      name: "jobs",
      path: `/apis/batch/v1/namespaces/${namespace}/jobs`,
      keep: (json) => seenJob(json as JobJson),
    },
    pods: { name: "pods", path: `/api/v1/namespaces/${namespace}/pods`, keep: (json) => seenPod(json as PodJson) },
  };
}

/** Jobs before pods: a pod that is made in between belongs to a Job that is seen. */
async function askFor(api: Api, kinds: Kinds, selector: string): Promise<{ jobs: SeenJob[]; pods: SeenPod[] }> {
  const jobs = await listObjects(api, kinds.jobs, { selector });
  const pods = await listObjects(api, kinds.pods, { selector });
  return { jobs: jobs.objects, pods: pods.objects };
}

function group(jobs: Iterable<SeenJob>, pods: Iterable<SeenPod>): Map<string, SeenRun> {
  const runs = new Map<string, SeenRun>();
  for (const job of jobs) if (job.runId !== "") runs.set(job.runId, { runId: job.runId, job, pods: [] });
  for (const pod of pods) {
    if (pod.runId === "") continue;
    const run = runs.get(pod.runId);
    if (run === undefined) runs.set(pod.runId, { runId: pod.runId, job: null, pods: [pod] });
    else run.pods.push(pod);
  }
  return runs;
}
