/** An engine in a process of its own whose runs are Jobs; tells its parent when it leads. */
import { pino } from "pino";
import { runEngine } from "../../../engine/engine.ts";
import { openLauncher } from "../launcher-support.ts";

const stop = new AbortController();
process.once("disconnect", () => stop.abort());
process.once("SIGTERM", () => stop.abort());

const given = (name: string): string => process.env[name] ?? "";
const log = pino({ level: "warn" });
const launcher = await openLauncher(
  { kubeconfig: given("FAULT_KUBECONFIG"), namespace: given("FAULT_NAMESPACE") },
  { podDatabaseUrl: given("FAULT_POD_URL"), log },
);
try {
  await runEngine({
    databaseUrl: given("FAULT_ENGINE_URL"),
    launcher,
    log,
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
