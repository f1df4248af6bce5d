/**
 * One invocation of the CLI, from its start to the end of its process group: reads its stream, writes
 * the transcript and the log, applies the limits. Decides nothing but when to end it.
 */
import { createTail } from "./bounded-text.ts";
import { type EndedBy, type ProcessEnd, billingProblem } from "./judge.ts";
import { type Line, createLineReader } from "./lines.ts";
import type { Log } from "./log.ts";
import { startGroup } from "./process-group.ts";
import type { Secrets } from "./secrets.ts";
import { spoken } from "./spoken.ts";
import { NO_FACTS, type StreamFacts, reduceFacts } from "./stream-facts.ts";
import type { Transcript } from "./transcript.ts";
import { type WatchLimits, startWatch } from "./watch.ts";

const STDERR_LINE_BYTES = 64 * 2 ** 10;
const STDERR_TAIL_BYTES = 4 * 2 ** 10;

export interface ClaudeRunOptions {
  program: string;
  args: readonly string[];
  cwd: string;
  environment: Record<string, string>;
  message: string;
  limits: WatchLimits;
  secrets: Secrets;
  transcript: Transcript;
  log: Log;
  /** Gets what is said, masked: for `Outcome.logs`. */
  onSaid: (text: string) => void;
  /** Ends the run as `stopped`. */
  signal: AbortSignal;
}

/** Runs the CLI once. Never rejects: whatever happens is in the end. */
export async function runClaude(
  options: ClaudeRunOptions,
): Promise<{ facts: StreamFacts; end: Omit<ProcessEnd, "outOfMemory"> }> {
  let facts = NO_FACTS;
  let endedBy: EndedBy | null = null;
  const stderr = createTail(STDERR_TAIL_BYTES);
  const stdoutLines = createLineReader((line) => {
    facts = takeLine(line, facts, options);
    watch.heard(facts.final !== null && !facts.wentOn);
    if (billingProblem(facts) !== null) end("cost_guard");
  });
  const stderrLines = createLineReader((line) => {
    stderr.add(`${options.secrets.mask(line.text)}\n`);
    options.log.say(`! ${line.text}`);
  }, STDERR_LINE_BYTES);
  const group = startGroup(options.program, options.args, {
    cwd: options.cwd,
    environment: options.environment,
    input: options.message,
    onStdout: (chunk) => stdoutLines.push(chunk),
    onStderr: (chunk) => stderrLines.push(chunk),
  });
  function end(by: EndedBy): void {
    endedBy ??= by;
    group.stop();
  }
  const onStop = (): void => end("stopped");
  const watch = startWatch(options.limits, end, options.secrets.refresh);
  options.signal.addEventListener("abort", onStop, { once: true });
  if (options.signal.aborted) onStop();
  const groupEnd = await group.ended;
  options.signal.removeEventListener("abort", onStop);
  watch.close();
  stdoutLines.end();
  stderrLines.end();
  return { facts, end: { ...groupEnd, endedBy, stderrTail: stderr.text() } };
}

function takeLine(line: Line, facts: StreamFacts, options: ClaudeRunOptions): StreamFacts {
  const masked = { ...line, text: options.secrets.mask(line.text) };
  const message = line.cut ? null : parsed(masked.text);
  options.transcript.add(masked, message !== null);
  const said = message === null ? masked.text.slice(0, 1000) : spoken(message);
  if (said !== null) {
    options.log.say(said);
    options.onSaid(`${said}\n`);
  }
  return reduceFacts(facts, message);
}

/** The message of a line; null where the line is none. */
function parsed(text: string): object | null {
  if (!text.startsWith("{")) return null;
  try {
    return JSON.parse(text) as object;
  } catch {
    return null;
  }
}
