/**
 * All runs of ours as the cluster shows them: from a watch's picture while that is fresh, else asked for.
 *
 * A run is never called gone by the picture alone: before one that was alive is missing from an answer, or is
 * shown with a finished Job and no pod, the API server is asked for it, for the pods' watch may be behind.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Api } from "./api.ts";
import { createAsker, kindsIn, type Kinds } from "./ask-objects.ts";
import { followObjects, type Following, type FollowOptions } from "./follow-objects.ts";
import { selectorOf } from "./labels.ts";
import type { SeenRun } from "./observe-run.ts";
import type { SeenJob, SeenPod } from "./seen.ts";
import { createSeenObjects } from "./seen-objects.ts";

export interface RunPicture {
  /** Every run of which something exists, or those of these. @throws ApiError where the cluster had to be asked and did not answer */
  runs(only?: ReadonlySet<string>): Promise<Map<string, SeenRun>>;
  /** What is known of one run right now; null: nothing of it exists. @throws ApiError */
  run(jobName: string): Promise<SeenRun | null>;
  /** A Job that we have just made: it is in every answer from now on. */
  made(job: SeenJob): void;
  /** Says whether something of a run is alive: if so, it is asked for before it is left out of an answer. */
  noteAlive(runId: string, isAlive: boolean): void;
  /** Follows the cluster from now on and calls `wake` when something has changed, with its run, or without for many. Returns the way to stop. */
  watch(wake: Wake): () => Promise<void>;
  /** Ends every watch. */
  close(): Promise<void>;
}

type Wake = (runIds?: readonly string[]) => void;

export interface PictureOptions {
  api: Api;
  instance: string;
  log: Logger;
  /** For tests. */
  silenceMs?: number | undefined;
}

/** A watch that has said nothing for longer than it takes to open it anew is not believed. */
const FRESH_MS = 30_000;

const FIRST_LISTS_MS = 30_000;

interface Painting {
  jobs: ReturnType<typeof createSeenObjects<SeenJob>>;
  pods: ReturnType<typeof createSeenObjects<SeenPod>>;
  followings: Following[];
}

function paint(api: Api, kinds: Kinds, options: FollowOptions, changed: (runId: string | null) => void): Painting {
  const jobs = createSeenObjects<SeenJob>(({ name }) => name, changed);
  const pods = createSeenObjects<SeenPod>(({ jobName }) => jobName, changed);
  const followings = [followObjects(api, kinds.jobs, jobs, options), followObjects(api, kinds.pods, pods, options)];
  return { jobs, pods, followings };
}

export function createRunPicture({ api, instance, log, silenceMs }: PictureOptions): RunPicture {
  const kinds = kindsIn(api.namespace);
  const ask = createAsker(api, instance, kinds);
  const wakes = new Set<Wake>();
  const alive = new Set<string>();
  let painting: Painting | null = null;

  const changed = (runId: string | null): void => wakes.forEach((wake) => (runId === null ? wake() : wake([runId])));
  const end = async (): Promise<void> => {
    const followings = painting?.followings ?? [];
    painting = null;
    alive.clear();
    await Promise.all(followings.map((one) => one.stop()));
  };
  const isFresh = ({ followings }: Painting): boolean => followings.every((one) => one.silenceMs() < FRESH_MS);

  /** Looks for what is missing in the picture though it was there, or must have been, and adds what there is. */
  const addMissed = async (runs: Map<string, SeenRun>, among: Iterable<string>): Promise<void> => {
    const missing = [...among].filter((runId) => alive.has(runId) && isDoubtful(runs.get(runId)));
    const { jobs, pods } = await ask.runs(missing);
    for (const job of jobs) painting?.jobs.changed(job);
    for (const pod of pods) painting?.pods.changed(pod);
    const found = group(jobs, pods);
    for (const runId of missing) {
      const run = found.get(runId);
      if (run !== undefined) runs.set(runId, run);
      alive.delete(runId);
    }
  };

  return {
    runs: async (only) => {
      if (painting !== null) await firstLists(painting);
      if (painting === null || !isFresh(painting)) {
        const { jobs, pods } = only === undefined ? await ask.all() : await ask.runs([...only]);
        return group(jobs, pods);
      }
      const runs = new Map<string, SeenRun>();
      const { jobs, pods } = painting;
      if (only === undefined) group(jobs.all(), pods.all(), runs);
      else for (const runId of only) group(jobs.ofRun(runId), pods.ofRun(runId), runs);
      await addMissed(runs, only ?? alive);
      return runs;
    },
    run: async (jobName) => {
      const { jobs, pods } =
        painting !== null && isFresh(painting)
          ? { jobs: painting.jobs.ofJob(jobName), pods: painting.pods.ofJob(jobName) }
          : await ask.job(jobName);
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
      painting ??= paint(api, kinds, { selector: selectorOf(instance), log, silenceMs }, changed);
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

/** Adds to `runs`, and returns them. */
function group(
  jobs: Iterable<SeenJob>,
  pods: Iterable<SeenPod>,
  runs = new Map<string, SeenRun>(),
): Map<string, SeenRun> {
  for (const job of jobs) if (job.runId !== "") runs.set(job.runId, { runId: job.runId, job, pods: [] });
  for (const pod of pods) {
    if (pod.runId === "") continue;
    const run = runs.get(pod.runId);
    if (run === undefined) runs.set(pod.runId, { runId: pod.runId, job: null, pods: [pod] });
    else run.pods.push(pod);
  }
  return runs;
}
