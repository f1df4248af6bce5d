/** How something goes on, on standard error for a person who waits: one live line on a terminal, else a line a change. */
import { lookUntil } from "./look-until.ts";
import { note } from "./output.ts";
import { duration, oneLine } from "./terminal-text.ts";

export interface ShownProgress {
  /** A word: `pending`, `running`, `active`. */
  state: string;
  explanation: string;
  /** What makes it another one; that time goes by does not. */
  key: string;
}

interface ProgressDisplay {
  show(progress: ShownProgress): void;
  remark(text: string): void;
  end(): void;
}

const LOOK_MS = 500;

/**
 * Looks again and again and shows how it goes on, until `progressOf` gives null: it has ended. False after Ctrl-C or
 * SIGTERM. @throws what `look` throws, but for a lost database
 */
export async function waitForEnd<T>(
  look: () => Promise<T>,
  progressOf: (value: T) => ShownProgress | null,
): Promise<boolean> {
  const display = process.stderr.isTTY ? createLiveLine() : createChangeLines();
  try {
    const last = await lookUntil({
      everyMs: LOOK_MS,
      unreachable: display.remark,
      look,
      see: (value) => {
        const progress = progressOf(value);
        if (progress !== null) display.show(progress);
        return progress === null;
      },
    });
    return last !== null;
  } finally {
    display.end();
  }
}

/** One line that is written over and over, with the time that has passed. */
function createLiveLine(): ProgressDisplay {
  const begun = Date.now();
  const clear = "\r\x1b[K";
  return {
    show(progress) {
      const text = `${progress.state}, ${duration(Date.now() - begun)}: ${progress.explanation}`;
      process.stderr.write(clear + oneLine(text, (process.stderr.columns || 80) - 3));
    },
    remark(text) {
      process.stderr.write(clear);
      note(text);
    },
    end: () => void process.stderr.write(clear),
  };
}

function createChangeLines(): ProgressDisplay {
  let last = "";
  return {
    show(progress) {
      if (progress.key === last) return;
      last = progress.key;
      note(`${progress.state}: ${oneLine(progress.explanation)}`);
    },
    remark: note,
    end: () => {},
  };
}
