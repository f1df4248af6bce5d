/** How something goes on, on standard error for a person who waits: one live line on a terminal, else a line a change. */
import { note } from "./output.ts";
import { duration, oneLine } from "./terminal-text.ts";

export interface ShownProgress {
  /** A word: `pending`, `running`, `active`. */
  state: string;
  explanation: string;
  /** What makes it another one; that time goes by does not. */
  key: string;
}

export interface ProgressDisplay {
  show(progress: ShownProgress): void;
  remark(text: string): void;
  end(): void;
}

/** The caller ends it. */
export function createProgressDisplay(): ProgressDisplay {
  return process.stderr.isTTY ? createLiveLine() : createChangeLines();
}

/** One line that is written over and over, with the time that has passed. */
function createLiveLine(): ProgressDisplay {
  const begun = Date.now();
  const clear = "\r\x1b[K";
  return {
    show(progress) {
      const text = `${progress.state}, ${duration(Date.now() - begun)}: ${progress.explanation}`;
      process.stderr.write(clear + oneLine(text, (process.stderr.columns || 80) - 1));
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
