/**
 * What the phase prints: lines for people, masked, bounded. On Kubernetes this is the pod's log.
 */
import type { Secrets } from "./secrets.ts";

const MAX_BYTES = 4 * 2 ** 20;

export interface Log {
  say(text: string): void;
  /** Printed also when the room is used up: how it ended. */
  sayLast(text: string): void;
  /** From now on a sign of life is printed whenever nothing else was for so long: silence means that the phase hangs. Returns the way to end it. */
  startPulse(everyMs?: number): () => void;
}

/** The engine calls an agent hung that is silent for some minutes longer than its limit. */
const PULSE_MS = 120_000;

/** A log on standard output. */
export function openLog(secrets: Secrets, write: (text: string) => void, maxBytes: number = MAX_BYTES): Log {
  let room = maxBytes;
  let printedAt = performance.now();
  const print = (text: string): void => {
    printedAt = performance.now();
    write(`${secrets.mask(text)}\n`);
  };
  return {
    say(text) {
      if (room <= 0) return;
      room -= Buffer.byteLength(text) + 1;
      print(room > 0 ? text : "… the log is full; the transcript has the end.");
    },
    sayLast: print,
    startPulse(everyMs = PULSE_MS) {
      const startedAt = performance.now();
      const timer = setInterval(() => {
        const now = performance.now();
        if (now - printedAt >= everyMs) print(`… at work for ${Math.floor((now - startedAt) / 60_000)} minutes`);
      }, everyMs / 4);
      return () => clearInterval(timer);
    },
  };
}
