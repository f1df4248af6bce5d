/** What engines, the job server and the suite say to each other: lines of JSON over a Unix socket. */
import type { Socket } from "node:net";
import type { Observation } from "../../engine/launch/launcher.ts";

/** What the job server needs of a LaunchSpec. */
export interface JobSpec {
  jobName: string;
  runId: string;
  taskId: string;
  addressee: string;
  token: string;
}

export type Request =
  | { call: "launch"; spec: JobSpec }
  | { call: "observe" }
  | { call: "stop"; jobName: string }
  | { call: "remove"; jobName: string }
  /** From now on this connection is told of every change. */
  | { call: "watch" }
  | { call: "history" };

export type Answer =
  | { podName: string }
  | { launchError: "launch_failed" | "image_pull_failed" }
  | { observations: Observation[] }
  | { history: JobRecord[] }
  | { done: true };

export interface Envelope<T> {
  id: number;
  body: T;
}

/** What really became of one job: the suite's own evidence, independent of the database. Times: wall clock, ms. */
export interface JobRecord {
  jobName: string;
  runId: string;
  taskId: string;
  addressee: string;
  instance: number;
  launchedAt: number;
  /** load_brief was answered: from here on it works. Null: it was turned away, or never came so far. */
  briefAt: number | null;
  /** Nothing of it is alive any more; null while it is. */
  deadAt: number | null;
  /** What became of its final report; `unknown`: the answer was lost. */
  report: "acknowledged" | "unknown" | "spooled" | "refused" | null;
  reportSuccess: boolean | null;
  reportCode: string | null;
  /** Tasks it asked for in its report. */
  children: number;
  /** A Green's word that its epic is over, with success or without; missing or null: it said nothing. */
  finishes?: boolean | null;
  /** The engine removed it, and so had settled its run. */
  removed: boolean;
  /** A report that it wrote after its removal was taken: the fence is broken. */
  lateReportTaken: boolean;
}

/** Calls `take` with the body of every whole line. */
export function onLines(socket: Socket, take: (line: string) => void): void {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
}
