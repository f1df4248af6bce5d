/**
 * What the engine asks of a place where runs happen.
 *
 * A launcher knows nothing of tasks, the database or outcomes: it starts a job, says what it sees of
 * its jobs, stops one, removes what is left of one. Every call may be repeated; every call may be made
 * by another engine than the one that made the call before. `launch` never imports `store`.
 */
import type { Observation } from "../domain/job.ts";

export type { JobEnd, Observation, PhaseEnd } from "../domain/job.ts";

export type LauncherName = "process" | "kubernetes";

/** Where a credential's secret lies; never the secret. Exactly one source is set, or none (`default` on the process launcher). */
export interface CredentialSource {
  name: string;
  /** A variable of the engine's environment (process launcher). */
  env_var: string | null;
  /** A file that holds the token, or a directory that is a `~/.claude` with a login (process launcher). */
  file_path: string | null;
  /** A Secret and its key (Kubernetes). */
  secret_name: string | null;
  secret_key: string | null;
}

/** Everything a launcher needs to start one run. */
export interface LaunchSpec {
  runId: string;
  taskId: string;
  attempt: number;
  addressee: string;
  /** Of the profile; unset: unknown. For labels only. */
  role?: string;
  /** `task-<task id>-<attempt>`: launching the same name twice is harmless. */
  jobName: string;
  /** The run's token, hex, in two halves (domain/run-token.ts): for checkout and publish only. */
  token: string;
  repoUrl: string | null;
  /** Limit of the whole run, in seconds of time awake; the agent's own limit plus what checkout and publish need. */
  deadlineSeconds: number;
  credential: CredentialSource;
  /** Container image; null: the launcher's default. The process launcher has none. */
  image: string | null;
  /** Kubernetes quantities; null: the launcher's default. */
  cpu: string | null;
  memory: string | null;
}

export interface Launcher {
  readonly name: LauncherName;

  /** Where its runs live and die, so that only an engine there may call them gone; null: any engine may. */
  readonly host: string | null;

  /** Why runs with this credential cannot start here: a sentence that says what to do; null if they can. Reads no secret into the result. */
  credentialProblem(credential: CredentialSource): Promise<string | null>;

  /**
   * Starts the job and returns once it is sure to go on without the engine. A job of that name that
   * carries the same run id counts as started.
   * @throws LaunchError (code `launch_failed` or `image_pull_failed`), with a sentence, where there is surely no job;
   * any other Error where there may be one: the same launch is made again
   */
  launch(spec: LaunchSpec): Promise<{ podName: string | null }>;

  /** All jobs of ours that still exist, ended ones included. */
  observe(): Promise<Observation[]>;

  /** Calls `wake` soon after a job may have changed. What is missed costs delay only. Returns the way to stop. */
  watch(wake: () => void): () => Promise<void>;

  /** Asks a job to end; returns at once. When nothing of it is alive, `observe` says `ended`. Unknown names are no error. */
  stop(jobName: string, reason: string): Promise<void>;

  /** Removes what is left of an ended job. A job that has not ended is left alone. */
  remove(jobName: string): Promise<void>;

  /** The job's masked log from its beginning, all phases; `follow` goes on until the job has ended. Ends at once for unknown names. */
  logs(jobName: string, options: { follow: boolean; signal?: AbortSignal }): AsyncIterable<string>;

  /** Lets go of sockets and watches; jobs go on. */
  close(): Promise<void>;
}

/** A job that could not be started. Always an infrastructure failure: the engine tries again later. */
export class LaunchError extends Error {
  readonly code: "launch_failed" | "image_pull_failed";
  constructor(code: "launch_failed" | "image_pull_failed", message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LaunchError";
    this.code = code;
  }
}
