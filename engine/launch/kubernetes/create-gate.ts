/**
 * Lets only so many objects be created at once, and none while the API server has asked for a pause: what it
 * says to one request holds for all.
 *
 * How many is found out as TCP does it: half as many after each pause, a little more with each success. Fifty
 * that all come back after the same pause would be turned away again, but for two.
 */
import { setTimeout as delay } from "node:timers/promises";

export interface CreateGate {
  run<Result>(create: () => Promise<Result>): Promise<Result>;
  /** Nothing begins for so long. */
  pause(ms: number): void;
}

export function createGate(mostAtOnce: number): CreateGate {
  const waiting: (() => void)[] = [];
  let width = mostAtOnce;
  let busy = 0;
  let closedUntil = 0;

  const admit = (): void => {
    while (busy < Math.floor(width) && waiting.length > 0) {
      busy += 1;
      waiting.shift()?.();
    }
  };
  const enter = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      admit();
    });
    for (let ms = closedUntil - performance.now(); ms > 0; ms = closedUntil - performance.now()) await delay(ms);
  };
  return {
    run: async (create) => {
      await enter();
      try {
        const made = await create();
        width = Math.min(mostAtOnce, width + 1 / width);
        return made;
      } finally {
        busy -= 1;
        admit();
      }
    },
    pause: (ms) => {
      const now = performance.now();
      // Those that were sent together are turned away together: they count once.
      if (now >= closedUntil) width = Math.max(1, width / 2);
      closedUntil = Math.max(closedUntil, now + ms);
    },
  };
}
