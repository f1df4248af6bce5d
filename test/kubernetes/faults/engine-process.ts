/** An engine whose runs are Jobs. */
import { pino } from "pino";
import { runFaultyEngine } from "../../fault/run-engine.ts";
import { openLauncher } from "../launcher-support.ts";

const { FAULT_ENGINE_URL = "", FAULT_POD_URL = "", FAULT_KUBECONFIG = "", FAULT_NAMESPACE = "" } = process.env;
const log = pino({ level: "warn" });
const where = { kubeconfig: FAULT_KUBECONFIG, namespace: FAULT_NAMESPACE };
// Played agents do not listen to a stop: some end by themselves in that time, the others are deleted.
const settings = { podDatabaseUrl: FAULT_POD_URL, keepLimitMs: 1_000, log };
await runFaultyEngine(FAULT_ENGINE_URL, await openLauncher(where, settings), log);
