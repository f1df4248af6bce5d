/** Calls of the API server that outlast its absence, a bounded number of them at once. */
import { setTimeout as delay } from "node:timers/promises";

const RETRY_MS = 100;

/** There is no such object any more, or another has changed it first. */
export class Overtaken extends Error {}

/**
 * Repeats a request until the API server has decided on it.
 * @throws Overtaken for 404 and 409, and what the request threw for every other refusal
 */
export type PatientCall = <T>(request: () => Promise<T>, signal: AbortSignal) => Promise<T>;

/** At most `atOnce` requests at the same time; the others wait in order. */
export function patientCalls(atOnce: number): PatientCall {
  const through = gate(atOnce);
  return async (request, signal) => {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await through(request);
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        if (code === 404 || code === 409) throw new Overtaken(`refused with ${code}`, { cause: error });
        const decided = typeof code === "number" && code !== 429 && code < 500;
        if (decided) throw error;
        await delay(RETRY_MS, undefined, { signal });
      }
    }
  };
}

function gate(places: number): <T>(request: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = [];
  let free = places;
  return async (request) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      return await request();
    } finally {
      const next = queue.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
