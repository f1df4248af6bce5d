/** Reads a run's log from its beginning, and on as it grows. */
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RUN_FILES } from "./run-directory.ts";
import { probeSupervisor } from "./supervisor-client.ts";

const CHUNK_BYTES = 65_536;

/** How soon a reader sees a new line. */
const POLL_MS = 200;

/** Ends at the log's end, or, with `follow`, when the run has ended; at once where there is none; early on `signal`. */
export async function* readLog(
  directory: string,
  options: { follow: boolean; signal?: AbortSignal },
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let file: FileHandle | null = null;
  try {
    for (;;) {
      // Asked before the last read: what a live run says later is read in the next round.
      const more = options.follow && (await probeSupervisor(directory)).life === "alive";
      file ??= await openOrNull(join(directory, RUN_FILES.log));
      for (;;) {
        if (options.signal?.aborted) return;
        const bytesRead = file === null ? 0 : (await file.read(buffer, 0, CHUNK_BYTES, null)).bytesRead;
        if (bytesRead === 0) break;
        yield decoder.decode(buffer.subarray(0, bytesRead), { stream: true });
      }
      if (!more) return;
      await delay(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      );
    }
  } finally {
    await file?.close();
  }
}

async function openOrNull(path: string): Promise<FileHandle | null> {
  return open(path, "r").catch(() => null);
}
