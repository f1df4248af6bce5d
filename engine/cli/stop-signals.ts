/** Ctrl-C and SIGTERM for what runs until it is stopped: the first asks it to end, the second ends it. */
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
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    onFirst(name);
    stop.abort();
  };
  const names = ["SIGINT", "SIGTERM"] as const;
  for (const name of names) process.on(name, handle);
  return { signal: stop.signal, release: () => names.forEach((name) => process.off(name, handle)) };
}
