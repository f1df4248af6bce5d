/** Waiting for a condition with a deadline, never for a time. */
import { setTimeout as delay } from "node:timers/promises";

/** Resolves with the first truthy answer. @throws Error naming `what` when `timeoutMs` (default a minute: a slow machine is no failure) have passed */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T> | T,
  timeoutMs = 60_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await delay(20);
  }
}
