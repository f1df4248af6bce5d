/**
 * A command of the profile or project (setup, check): runs in the work tree like the agent, with no
 * credential, within the phase's time limit. What it starts in the background ends with it.
 */
import { lastBytes } from "./bounded-text.ts";
import type { EndedBy } from "./judge.ts";
import { startGroup } from "./process-group.ts";
import type { Secrets } from "./secrets.ts";
import { startWatch } from "./watch.ts";

const OUTPUT_BYTES = 16 * 2 ** 10;

export interface CommandOptions {
  command: string;
  cwd: string;
  /** Without any credential. */
  environment: Record<string, string>;
  /** On the clock of `performance.now()`. */
  deadlineAt: number;
  secrets: Secrets;
  signal: AbortSignal;
}

export interface CommandEnd {
  /** Exit code 0, by itself. */
  passed: boolean;
  /** How it ended, for a sentence: `exit code 1`. */
  how: string;
  /** The end of what it printed, masked, at most 16 KiB. */
  output: string;
  /** Set where the phase ended it. */
  endedBy: Extract<EndedBy, "stopped" | "deadline"> | null;
}

/** Runs it once, by /bin/sh. Never rejects. */
export async function runCommand(options: CommandOptions): Promise<CommandEnd> {
  let endedBy: CommandEnd["endedBy"] = null;
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
  function end(by: NonNullable<CommandEnd["endedBy"]>): void {
    endedBy ??= by;
    group.stop();
  }
  const onStop = (): void => end("stopped");
  const limits = { firstOutputMs: Infinity, silenceMs: Infinity, deadlineAt: options.deadlineAt };
  const watch = startWatch(limits, () => end("deadline"), options.secrets.refresh);
  options.signal.addEventListener("abort", onStop, { once: true });
  if (options.signal.aborted) onStop();
  const { exitCode, signal, startError } = await group.ended;
  options.signal.removeEventListener("abort", onStop);
  watch.close();
  const output = lastBytes(options.secrets.mask(startError ?? kept.toString("utf8")), OUTPUT_BYTES);
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`;
  return { passed: exitCode === 0 && endedBy === null, how, output, endedBy };
}
