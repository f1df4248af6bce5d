/**
 * Ctrl-C, SIGTERM and the end of the terminal for what runs until it is stopped: the first asks it to end, a second
 * Ctrl-C or SIGTERM ends it at once.
 */
import { EXIT } from "./failure.ts";

export interface StopSignals {
  readonly signal: AbortSignal;
  /** Gives the signals their usual meaning back. */
  release(): void;
}

/** @param onFirst says that the end has begun and what the second does */
export function stopSignals(onFirst: (name: string) => void): StopSignals {
  const stop = new AbortController();
  const handle = (name: NodeJS.Signals) => {
    if (name === "SIGHUP" && (stop.signal.aborted || hangUpIsIgnored())) return; // the shell and the kernel both send it
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    onFirst(name);
    stop.abort();
  };
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, handle);
  return { signal: stop.signal, release: () => names.forEach((name) => process.off(name, handle)) };
}

/** As under nohup. Node makes nothing of a signal that its parent had ignored; bin/myzel has looked before. */
function hangUpIsIgnored(): boolean {
  return process.env["MYZEL_IGNORES_HANGUP"] === "1";
}
