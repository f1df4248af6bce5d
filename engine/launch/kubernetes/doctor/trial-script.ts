/**
 * What the trial pod runs: tries to reach what a run may not and what it must, and leaves what came of it as its
 * termination message. Plain JavaScript in one text: it must run in whatever image there is.
 */
import { z } from "zod";

/** `reached`, or how it failed, as Node names it (`ECONNREFUSED`, `timeout`). */
const attempt = z.string();

const report = z.object({
  /** The API server's own address in the cluster, which runs may not reach; null: the pod was told none. */
  api: attempt.nullable(),
  apiAddress: z.string(),
  /** The names' servers. */
  names: attempt,
  /** The model's endpoint. */
  model: attempt,
});

export type TrialReport = z.infer<typeof report>;

/** Rules may take effect a moment after a pod has begun: the last of several tries counts. */
const TRIES = 4;
const PAUSE_MS = 1_500;
const TIMEOUT_MS = 3_000;

/** @param model where agents find their model */
export function trialScript(model: URL): string {
  const port = Number(model.port) || (model.protocol === "http:" ? 80 : 443);
  return `
const { connect } = require("node:net");
const { lookup } = require("node:dns/promises");
const { writeFileSync } = require("node:fs");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const reach = (host, port) => new Promise((resolve) => {
  const socket = connect({ host, port, timeout: ${TIMEOUT_MS} });
  const end = (how) => { socket.destroy(); resolve(how); };
  socket.on("connect", () => end("reached")).on("timeout", () => end("timeout")).on("error", (error) => end(error.code || "error"));
});
const within = (promise) => Promise.race([promise, pause(${TIMEOUT_MS}).then(() => "timeout")]);
(async () => {
  const host = process.env.KUBERNETES_SERVICE_HOST;
  const port = process.env.KUBERNETES_SERVICE_PORT || "443";
  let api = null;
  for (let n = 0; host && n < ${TRIES}; n += 1) {
    if (n > 0) await pause(${PAUSE_MS});
    api = await reach(host, Number(port));
    if (api !== "reached" && n > 0) break;
  }
  const names = await within(lookup(${JSON.stringify(model.hostname)}).then(() => "reached", (error) => error.code || "error"));
  const model = await reach(${JSON.stringify(model.hostname)}, ${port});
  writeFileSync(process.env.MYZEL_TERMINATION_LOG || "/dev/termination-log", JSON.stringify({ api, apiAddress: host + ":" + port, names, model }));
  process.exit(0);
})();
`;
}

/** Null where the pod left something else. */
export function parseTrialReport(message: string): TrialReport | null {
  try {
    return report.safeParse(JSON.parse(message)).data ?? null;
  } catch {
    return null;
  }
}
