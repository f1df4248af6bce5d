/**
 * Splits a byte stream into lines of bounded length, whatever a program prints.
 */
import { StringDecoder } from "node:string_decoder";

/** What a line may weigh to be read as a message; far above what the CLI sends (attached images included). */
const MAX_LINE_BYTES = 16 * 2 ** 20;

export interface Line {
  /** Without its line end; only the beginning where `cut`. */
  text: string;
  /** Bytes of the whole line. */
  bytes: number;
  cut: boolean;
}

export interface LineReader {
  push(chunk: Buffer): void;
  /** Gives a last line that has no line end. */
  end(): void;
}

/** Calls `onLine` for each line that is not empty. Holds at most `maxBytes` of one line and drops the rest of it. */
export function createLineReader(onLine: (line: Line) => void, maxBytes: number = MAX_LINE_BYTES): LineReader {
  let parts: Buffer[] = [];
  let kept = 0;
  let bytes = 0;
  function add(piece: Buffer): void {
    bytes += piece.length;
    const room = piece.subarray(0, maxBytes - kept);
    if (room.length === 0) return;
    parts.push(room);
    kept += room.length;
  }
  function finish(): void {
    // The decoder drops a character that the cut went through.
    const line = { text: new StringDecoder("utf8").write(Buffer.concat(parts)), bytes, cut: bytes > kept };
    parts = [];
    kept = 0;
    bytes = 0;
    if (line.text.trim() !== "") onLine(line);
  }
  return {
    push(chunk) {
      let at = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, at)) {
        add(chunk.subarray(at, end));
        finish();
        at = end + 1;
      }
      add(chunk.subarray(at));
    },
    end: finish,
  };
}
