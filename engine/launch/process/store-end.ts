/** The end of a run is stored, also on a full disk: space is set aside for it while there is some. */
import { rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { JobEnd } from "../launcher.ts";
import { RUN_FILES, writeJson } from "./run-directory.ts";

/** Enough for an end with three messages and its log. */
const RESERVE_BYTES = 65_536;

const RETRY_MS = 1_000;

/** Best effort: without it the end waits until the disk has room again. */
export function setSpaceAside(): void {
  try {
    writeFileSync(RUN_FILES.reserve, Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
  } catch {
    rmSync(RUN_FILES.reserve, { force: true });
  }
}

/** Until it is stored: on a full disk the space set aside is given up for it. */
export async function storeEnd(end: JobEnd, directoryIsThere: () => boolean): Promise<void> {
  while (directoryIsThere()) {
    try {
      writeJson(RUN_FILES.end, end);
      rmSync(RUN_FILES.reserve, { force: true });
      return;
    } catch {
      rmSync(RUN_FILES.reserve, { force: true });
      await delay(RETRY_MS);
    }
  }
}
