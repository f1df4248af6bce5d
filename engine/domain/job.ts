/** The vocabulary of jobs: what a launcher sees of them and domain/ judges. */
import type { FailureCode, Phase, Report } from "../../worker-image/contract.ts";

/** How one phase ended. */
export interface PhaseEnd {
  phase: Phase;
  /** Null where a signal ended it. */
  exitCode: number | null;
  signal: string | null;
  /** The sentence the phase left in its termination log, at most 4 KiB, masked. */
  message: string | null;
}

/** What a launcher may say of an end by itself. */
export type InfrastructureCode = Extract<
  FailureCode,
  "launch_failed" | "image_pull_failed" | "pod_refused" | "evicted" | "node_lost" | "job_deleted"
>;

/** Where the value of a secret of a profile lies; never the value. Exactly one source. */
export type SecretSource =
  /** A variable of the engine's environment (process launcher). */
  | { env_var: string }
  /** A file on the engine's machine (process launcher). */
  | { file_path: string }
  /** A Secret and its key (Kubernetes). */
  | { secret_name: string; secret_key: string };

/** By the variable in which the agent gets it; what is in there the database has looked at. */
export type ProfileSecrets = Readonly<Record<string, SecretSource>>;

/** Why a job could not be started. `pod_refused`: trying again will not help. */
export type LaunchFailureCode = Extract<FailureCode, "launch_failed" | "image_pull_failed" | "pod_refused">;

/** How a job ended, as the launcher saw it. */
export interface JobEnd {
  /** The phases that ended, in order. A phase that never started is missing. */
  phases: PhaseEnd[];
  /** The launcher ended it for its deadline. */
  deadlineExceeded: boolean;
  /** The launcher ended it because `stop` was called. */
  stopped: boolean;
  outOfMemory: boolean;
  /** The job is gone without an end of its own: `vanished` (host or supervisor died), `deleted` (somebody removed it). */
  gone: "vanished" | "deleted" | null;
  /** The infrastructure ended it or never let it begin, and the launcher knows how: a code and a sentence. */
  infrastructure: { code: InfrastructureCode; error: string } | null;
  /** A report that publish could not hand to the database. */
  spooledReport: Report | null;
  /** The end of the job's log, masked, at most 8 KiB; for `result.logs` where there is no report. */
  logTail: string | null;
}

/** What a launcher sees of one job. */
export interface Observation {
  runId: string;
  jobName: string;
  /** Name of the pod, or of host and process; becomes `tasks.worker_pod`. */
  podName: string | null;
  /** `starting`: no phase runs yet. `ended`: nothing of it is alive any more, its slot is free. */
  state: "starting" | "running" | "ended";
  phase: Phase | null;
  /** While `starting`: what it waits for, in a sentence; unset where nothing is known. */
  waiting?: string;
  end: JobEnd | null;
}

/** An end with nothing to tell but what is given. */
export function jobEnd(known: Partial<JobEnd>): JobEnd {
  return {
    phases: [],
    deadlineExceeded: false,
    stopped: false,
    outOfMemory: false,
    gone: null,
    infrastructure: null,
    spooledReport: null,
    logTail: null,
    ...known,
  };
}
