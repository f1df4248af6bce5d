/**
 * A launcher in memory whose jobs are cheap: a stand-in for places where runs happen, for tests and the
 * benchmark of the engine's own loops. Jobs outlive the engine, as real ones do: two launchers made on
 * the same `jobs` see the same jobs.
 */
import { hostname } from "node:os";
import { jobEnd } from "../../engine/domain/job.ts";
import type { Report } from "../../worker-image/contract.ts";
import type { JobEnd, Launcher, LaunchSpec, Observation } from "../../engine/launch/launcher.ts";

interface Job {
  spec: LaunchSpec;
  end: JobEnd | null;
}

export interface InstantLauncher extends Launcher {
  readonly jobs: Map<string, Job>;
  readonly launched: LaunchSpec[];
  readonly stopped: string[];
  /** The job that this addressee's first run was launched as; "" as long as there is none. */
  jobOf(addressee: string): string;
  /** Ends a job with a report, as publish would. */
  finish(jobName: string, report?: Partial<Report>): void;
  /** Deletes a job as somebody's hand would; the watch tells. */
  lose(jobName: string): void;
}

export interface InstantLauncherOptions {
  jobs?: Map<string, Job>;
  /** Jobs end by themselves as soon as they are launched. */
  finishAtOnce?: boolean;
  /** Called first thing in launch. */
  onLaunch?: (spec: LaunchSpec) => void;
  /** What `credentialProblem` says. */
  problem?: () => string | null;
}

/** What the publish of a run that did its work reports: small, as most are. */
export const doneReport: Report = {
  success: true,
  code: null,
  error: null,
  summary: "done",
  logs: null,
  cost_usd: 0,
  turns: 1,
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_creation_tokens: 0,
  session_id: null,
  model: null,
  resets_at: null,
  warned_until: null,
  paid_usage: false,
  checks: null,
  branch: null,
  commit_sha: null,
  files_changed: [],
  pull_request_url: null,
  work_kept: false,
  tasks: [],
  finish_epic: null,
};

export function instantLauncher(options: InstantLauncherOptions = {}): InstantLauncher {
  const jobs = options.jobs ?? new Map<string, Job>();
  const wakes = new Set<() => void>();
  const launched: LaunchSpec[] = [];
  const stopped: string[] = [];
  const wakeAll = () => wakes.forEach((wake) => wake());
  const finish = (jobName: string, report: Partial<Report> = {}) => {
    const job = jobs.get(jobName);
    if (job === undefined) throw new Error(`there is no job ${jobName}`);
    job.end = jobEnd({ spooledReport: { ...doneReport, ...report } });
    wakeAll();
  };
  return {
    name: "process",
    jobs,
    launched,
    stopped,
    jobOf: (addressee) => launched.find((spec) => spec.addressee === addressee)?.jobName ?? "",
    finish,
    lose: (jobName) => {
      jobs.delete(jobName);
      wakeAll();
    },
    host: hostname(),
    credentialProblem: async () => options.problem?.() ?? null,
    launch: async (spec) => {
      options.onLaunch?.(spec);
      if (!jobs.has(spec.jobName)) {
        launched.push(spec);
        jobs.set(spec.jobName, { spec, end: null });
      }
      if (options.finishAtOnce) finish(spec.jobName);
      return { podName: `${hostname()}/0` };
    },
    observe: async () => [...jobs.values()].map(observationOf),
    watch: (wake) => {
      wakes.add(wake);
      return async () => void wakes.delete(wake);
    },
    stop: async (jobName) => {
      stopped.push(jobName);
      const job = jobs.get(jobName);
      if (job !== undefined) job.end ??= jobEnd({ stopped: true });
      wakeAll();
    },
    remove: async (jobName) => {
      if (jobs.get(jobName)?.end !== null) jobs.delete(jobName);
    },
    logs: async function* () {},
    close: async () => {},
  };
}

function observationOf({ spec, end }: Job): Observation {
  return {
    runId: spec.runId,
    jobName: spec.jobName,
    podName: `${hostname()}/0`,
    state: end === null ? "running" : "ended",
    phase: null,
    end,
  };
}
