/** An engine in a process of its own, with a launcher whose jobs end at once; tells its parent of every launch. */
import { pino } from "pino";
import { runEngine } from "../engine/engine.ts";
import { instantLauncher } from "../test/support/instant-launcher.ts";

const stop = new AbortController();
process.once("disconnect", () => stop.abort());
process.once("message", () => stop.abort());

await runEngine({
  databaseUrl: process.env["BENCH_ENGINE_URL"] ?? "",
  launcher: instantLauncher({
    finishAtOnce: true,
    onLaunch: (spec) => process.send?.({ launched: spec.taskId, at: process.hrtime.bigint().toString() }),
  }),
  log: pino({ level: "error" }),
  pollIntervalMs: 5_000,
  maxLiveRuns: 1_000,
  keepTranscriptsMs: 86_400_000,
  runKey: Buffer.alloc(32, 1),
  signal: stop.signal,
  onLead: () => process.send?.({ leads: true }),
});
process.disconnect?.();
