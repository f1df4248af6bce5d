/** An engine whose runs are Jobs. */
import { pino } from "pino";
import { runFaultyEngine } from "../../fault/run-engine.ts";
import { openLauncher } from "../launcher-support.ts";

const { FAULT_ENGINE_URL = "", FAULT_POD_URL = "", FAULT_KUBECONFIG = "", FAULT_NAMESPACE = "" } = process.env;
const log = pino({ level: "warn" });
const where = { kubeconfig: FAULT_KUBECONFIG, namespace: FAULT_NAMESPACE };
await runFaultyEngine(FAULT_ENGINE_URL, await openLauncher(where, { podDatabaseUrl: FAULT_POD_URL, log }), log);
