/**
 * What the phase prints: lines for people, masked, bounded. On Kubernetes this is the pod's log.
 */
import type { Secrets } from "./secrets.ts";

const MAX_BYTES = 4 * 2 ** 20;

export interface Log {
  say(text: string): void;
  /** Printed also when the room is used up: how it ended. */
  sayLast(text: string): void;
}

/** A log on standard output. */
export function openLog(secrets: Secrets, write: (text: string) => void, maxBytes: number = MAX_BYTES): Log {
  let room = maxBytes;
  const print = (text: string): void => write(`${secrets.mask(text)}\n`);
  return {
    say(text) {
      if (room <= 0) return;
      room -= Buffer.byteLength(text) + 1;
      print(room > 0 ? text : "… the log is full; the transcript has the end.");
    },
    sayLast: print,
  };
}
