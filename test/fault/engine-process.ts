/** An engine in a process of its own, whose jobs run in the job server; tells its parent when it leads. */
import { pino } from "pino";
import { runEngine } from "../../engine/engine.ts";
import { jobServerLauncher } from "./job-client.ts";

const stop = new AbortController();
process.once("disconnect", () => stop.abort());
process.once("SIGTERM", () => stop.abort());

const launcher = jobServerLauncher(process.env["FAULT_JOB_SOCKET"] ?? "");
try {
  await runEngine({
    databaseUrl: process.env["FAULT_ENGINE_URL"] ?? "",
    launcher,
    log: pino({ level: "warn" }),
    pollIntervalMs: 1_000,
    maxLiveRuns: 40,
    keepTranscriptsMs: 86_400_000,
    runKey: Buffer.alloc(32, 5),
    signal: stop.signal,
    onLead: (epoch) => process.send?.({ epoch }),
  });
} finally {
  await launcher.close();
  if (process.connected) process.disconnect();
}
