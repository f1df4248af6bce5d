/**
 * An engine in a process of its own, with a launcher whose jobs end at once. Tells its parent when it leads,
 * how many jobs it has settled (a job is removed once it is), and, where asked, of every launch.
 */
import { pino } from "pino";
import { runEngine } from "../../engine/engine.ts";
import { instantLauncher } from "../../test/support/instant-launcher.ts";

const TELL_MS = 20;
/** An engine that fails at everything would bury the figures under its messages. */
const MOST_ERRORS = 5;

const stop = new AbortController();
process.once("disconnect", () => stop.abort());
process.once("message", () => stop.abort());

const tellLaunches = process.env["BENCH_TELL_LAUNCHES"] === "yes";
let launched = false;
let settled = 0;
let told = 0;
let errors = 0;
const tell = setInterval(() => {
  if (settled > told) process.send?.({ settled: settled - told });
  told = settled;
}, TELL_MS);

const launcher = instantLauncher({
  finishAtOnce: true,
  onLaunch: (spec) => {
    if (tellLaunches || !launched) process.send?.({ launched: spec.taskId, at: process.hrtime.bigint().toString() });
    launched = true;
    launcher.launched.length = 0; // a benchmark may launch millions
  },
});

await runEngine({
  databaseUrl: process.env["BENCH_ENGINE_URL"] ?? "",
  launcher: {
    ...launcher,
    remove: async (jobName) => {
      await launcher.remove(jobName);
      settled++;
    },
  },
  log: pino(
    { level: "error" },
    { write: (line: string) => void (errors++ < MOST_ERRORS && process.stderr.write(line)) },
  ),
  pollIntervalMs: 5_000,
  maxLiveRuns: Number(process.env["BENCH_MAX_LIVE_RUNS"]),
  keepTranscriptsMs: 86_400_000,
  runKey: Buffer.alloc(32, 1),
  signal: stop.signal,
  onLead: () => process.send?.({ leads: true }),
});
clearInterval(tell);
process.disconnect?.();
