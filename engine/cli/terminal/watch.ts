/**
 * `--watch`: on a terminal a screen that is drawn anew, elsewhere (and for programs) only what has changed. Ctrl-C ends
 * the watching and nothing else.
 */
import { EXIT } from "../failure.ts";
import { lookUntil } from "./look-until.ts";
import { note } from "./output.ts";

const LOOK_MS = 1_000;

export interface Watched<T> {
  look(): Promise<T>;
  /** All of it, for a terminal. */
  screen(value: T): string;
  /** Prints what is new since `before`; null: nothing was seen before. */
  sayChanges(value: T, before: T | null): void;
  /** There is nothing more to see. */
  isOver(value: T): boolean;
}

/** Returns the exit code: 0 where it is over, 130 after Ctrl-C. */
export async function watch<T>(watched: Watched<T>, options: { json: boolean }): Promise<number> {
  const last = process.stdout.isTTY && !options.json ? await watchOnScreen(watched) : await watchChanges(watched);
  return last === null ? EXIT.interrupted : EXIT.done;
}

async function watchChanges<T>(watched: Watched<T>): Promise<T | null> {
  let before: T | null = null;
  return await lookUntil({
    everyMs: LOOK_MS,
    unreachable: note,
    look: () => watched.look(),
    see: (value) => {
      watched.sayChanges(value, before);
      before = value;
      return watched.isOver(value);
    },
  });
}

/** On the terminal's second screen; what was seen last stays on the first one. */
async function watchOnScreen<T>(watched: Watched<T>): Promise<T | null> {
  let seen = "";
  process.stdout.write("\x1b[?1049h\x1b[?7l");
  try {
    return await lookUntil({
      everyMs: LOOK_MS,
      unreachable: (sentence) => draw(`${sentence}\n\n${seen}`),
      look: () => watched.look(),
      see: (value) => {
        seen = watched.screen(value);
        draw(seen);
        return watched.isOver(value);
      },
    });
  } finally {
    process.stdout.write(`\x1b[?7h\x1b[?1049l${seen === "" ? "" : `${seen}\n`}`);
  }
}

/** As many lines as the terminal has; each is written over its predecessor, so that nothing flickers. */
function draw(text: string): void {
  const rows = process.stdout.rows || 24;
  const lines = text.split("\n");
  const more = lines.length - (rows - 1);
  const shown = more <= 0 ? lines : [...lines.slice(0, rows - 2), `… ${more + 1} more lines`];
  process.stdout.write(`\x1b[H${shown.map((line) => `${line}\x1b[K`).join("\n")}\n\x1b[J`);
}
