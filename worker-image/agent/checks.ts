/**
 * The profile's check command: lint, tests, whatever tells good work from bad. Runs in the work tree
 * like the agent, with no credential, within the phase's time limit.
 */
import { lastBytes } from "./bounded-text.ts";
import type { EndedBy } from "./judge.ts";
import { startGroup } from "./process-group.ts";
import type { Secrets } from "./secrets.ts";
import { startWatch } from "./watch.ts";

const OUTPUT_BYTES = 16 * 2 ** 10;

export interface CheckOptions {
  command: string;
  cwd: string;
  /** Without any credential. */
  environment: Record<string, string>;
  /** On the clock of `performance.now()`. */
  deadlineAt: number;
  secrets: Secrets;
  signal: AbortSignal;
}

export interface CheckEnd {
  passed: boolean;
  /** The end of what it printed, masked, at most 16 KiB. */
  output: string;
  /** Set where the phase ended it. */
  endedBy: Extract<EndedBy, "stopped" | "deadline"> | null;
}

/** Runs the check once. Passed is exit code 0, by itself. */
export async function runCheck(options: CheckOptions): Promise<CheckEnd> {
  let endedBy: CheckEnd["endedBy"] = null;
  let kept = Buffer.alloc(0);
  // Far more than is given out, so that a secret which the cut went through is not in it.
  const keep = (chunk: Buffer): void => {
    kept = Buffer.concat([kept, chunk]).subarray(-4 * OUTPUT_BYTES);
  };
  const group = startGroup("/bin/sh", ["-c", options.command], {
    cwd: options.cwd,
    environment: options.environment,
    input: "",
    onStdout: keep,
    onStderr: keep,
  });
  function end(by: NonNullable<CheckEnd["endedBy"]>): void {
    endedBy ??= by;
    group.stop();
  }
  const onStop = (): void => end("stopped");
  const limits = { firstOutputMs: Infinity, silenceMs: Infinity, deadlineAt: options.deadlineAt };
  const watch = startWatch(limits, () => end("deadline"), options.secrets.refresh);
  options.signal.addEventListener("abort", onStop, { once: true });
  if (options.signal.aborted) onStop();
  const { exitCode, startError } = await group.ended;
  options.signal.removeEventListener("abort", onStop);
  watch.close();
  const output = lastBytes(options.secrets.mask(startError ?? kept.toString("utf8")), OUTPUT_BYTES);
  return { passed: exitCode === 0 && endedBy === null, output, endedBy };
}
