/**
 * Looks again and again until it is over or a person has seen enough. Looks, never steers: Ctrl-C ends the looking and
 * nothing else, and a database that cannot be reached is waited for.
 */
import { setTimeout as delay } from "node:timers/promises";
import { DatabaseUnreachableError } from "../../store/errors.ts";

export interface Looking<T> {
  look(): Promise<T>;
  /** Called with each value; true: it is over. */
  see(value: T): boolean;
  /** Called once when the database cannot be reached, with a sentence. */
  unreachable(sentence: string): void;
  everyMs: number;
}

/** The last value; null after Ctrl-C or SIGTERM. @throws what `look` throws, but for a lost database */
export async function lookUntil<T>(looking: Looking<T>): Promise<T | null> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  let reachable = true;
  try {
    while (!interrupt.signal.aborted) {
      try {
        const value = await looking.look();
        reachable = true;
        if (looking.see(value)) return value;
      } catch (error) {
        if (!(error instanceof DatabaseUnreachableError)) throw error;
        if (reachable) looking.unreachable(`${error.message} Waiting for it.`);
        reachable = false;
      }
      await delay(looking.everyMs, undefined, { signal: interrupt.signal }).catch(() => undefined);
    }
    return null;
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}
