/** An engine whose jobs run in the job server. */
import { pino } from "pino";
import { jobServerLauncher } from "./job-client.ts";
import { runFaultyEngine } from "./run-engine.ts";

const { FAULT_ENGINE_URL = "", FAULT_JOB_SOCKET = "" } = process.env;
await runFaultyEngine(FAULT_ENGINE_URL, jobServerLauncher(FAULT_JOB_SOCKET), pino({ level: "warn" }));
