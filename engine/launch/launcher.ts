/**
 * What the engine asks of a place where runs happen.
 *
 * A launcher knows nothing of tasks, the database or outcomes: it starts a job, says what it sees of
 * its jobs, stops one, removes what is left of one. Every call may be repeated; every call may be made
 * by another engine than the one that made the call before. `launch` never imports `store`.
 */
import type { Phase } from "../../worker-image/contract.ts";
import type { LaunchFailureCode, Observation, ProfileSecrets } from "../domain/job.ts";

export type { JobEnd, Observation, PhaseEnd, ProfileSecrets, SecretSource } from "../domain/job.ts";

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
  /** The profile's name and what it adds to its pods (Kubernetes), as it is stored; unset or null: nothing. */
  profile?: string;
  podTemplate?: unknown;
  /** What the agent is given besides the Claude login, and publish for masking: by reference. Unset: nothing. */
  secrets?: ProfileSecrets;
}

/** Some lines of a job's log. */
export interface LogPiece {
  /** Whole lines, each with its line break; of a job that has ended, the very last one may have none. */
  text: string;
  /** Which phase was running when they were read, or said them; null: not known. */
  phase: Phase | null;
  /** Behind these lines; null: they are no lines of the log, but the launcher's own on what of it cannot be had. */
  place: string | null;
}

export interface LogReading {
  /** Goes on until the job has ended. */
  follow: boolean;
  /** Place of an earlier piece, also of another engine's reading: begins behind it. Unset or null: at the beginning. */
  after?: string | null | undefined;
  signal?: AbortSignal | undefined;
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
   * @throws LaunchError with a code and a sentence, where there is surely no job;
   * NoPlaceError where a place has to become free first; any other Error where there may be one: both times the
   * same launch is made again
   */
  launch(spec: LaunchSpec): Promise<{ podName: string | null }>;

  /** All jobs of ours that still exist, ended ones included; or, at the least, those of these runs. */
  observe(runIds?: ReadonlySet<string>): Promise<Observation[]>;

  /**
   * Calls `wake` soon after jobs may have changed, with their runs; without, where that is not known. What is missed
   * costs delay only. Returns the way to stop.
   */
  watch(wake: (runIds?: readonly string[]) => void): () => Promise<void>;

  /**
   * Asks a job to end, and to keep what its agent left; returns at once. When nothing of it is alive, `observe` says
   * `ended`; until then it is to be called again. Unknown names are no error.
   * @param options.atOnce nothing that it leaves would be taken: its report is in, or its run is gone
   */
  stop(jobName: string, reason: string, options?: { atOnce?: boolean }): Promise<void>;

  /** Removes what is left of an ended job. A job that has not ended is left alone. */
  remove(jobName: string): Promise<void>;

  /**
   * The job's masked log, all phases, each line once. With `follow` a new line comes within seconds, and what breaks on
   * the way is taken up again where it was. Ends at once for unknown names.
   */
  logs(jobName: string, reading: LogReading): AsyncIterable<LogPiece>;

  /** Lets go of sockets and watches; jobs go on. */
  close(): Promise<void>;
}

/** A job that could not be started. Its code says whether the engine tries again later. */
export class LaunchError extends Error {
  readonly code: LaunchFailureCode;
  constructor(code: LaunchFailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LaunchError";
    this.code = code;
  }
}

/** There is no place for the job yet, and surely no job: the same launch is made again. The sentence says what is full. */
export class NoPlaceError extends Error {
  override readonly name = "NoPlaceError";
}
