/** The log of a run on this host, line by line, as it lies in the data directory. */
import type { RunRow } from "../store/show.ts";

/** Ends at once for runs of another host or another user, whose log cannot be read here. */
export async function* readLiveLog(
  dataDir: string,
  run: RunRow,
  options: { follow: boolean; signal?: AbortSignal },
): AsyncGenerator<string> {
  if (run.launcher !== "process") return;
  const { readLog } = await import("../launch/process/read-log.ts");
  const { runDirectory } = await import("../launch/process/launcher-settings.ts");
  let rest = "";
  for await (const chunk of readLog(runDirectory(dataDir, run.job_name), options)) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
