/**
 * `npm run bench:start-up`: INSERT → the model's first request on a real node with the image on it, split by step; then
 * the end of the run. One run after the other, each with a clone and a push. Prints a table; asserts nothing.
 *
 *     node test/kubernetes/node/start-up.node-bench.ts --runs 30
 *
 * Needs what `npm run test:node` needs. Steps inside of a pod are seen as the API shows them, which may be up to a
 * second after the fact; the clone's and the model's first requests are exact.
 */
import { parseArgs } from "node:util";
import type { V1Pod } from "@kubernetes/client-node";
import { text, toolUse } from "../../support/scripted-model.ts";
import { watchPods } from "../support/watch-pods.ts";
import { nodeProblem } from "./node.ts";
import { type Stage, startStage } from "./stage.ts";

const STEPS = [
  "claimed",
  "Job created",
  "pod seen",
  "pod bound to the node",
  "clone's first request",
  "agent seen running",
  "model's first request",
  "publish seen running",
  "report settled",
] as const;
type Step = (typeof STEPS)[number];

/** Milliseconds since the epoch at which each step of the run under way was first seen. */
let seen = new Map<Step, number>();

/** Of the run under way, and of those before, which may still be on their way out. */
let pod = "";
const earlierPods = new Set<string>();

function note(step: Step, atMs = Date.now()): void {
  if (!seen.has(step)) seen.set(step, atMs);
}

const { values: options } = parseArgs({ options: { runs: { type: "string", default: "20" } } });
const problem = await nodeProblem();
if (problem !== false) {
  console.error(`No start-up can be measured here: ${problem}`);
  process.exit(2);
}
const stopping = new AbortController();
const stage = await startStage((request) => {
  note("model's first request");
  const commit = "date +%N > stamp.txt && git add stamp.txt && git commit -qm Stamp";
  return request.step === 0 ? toolUse("Bash", { command: commit }) : text("Done.");
});
try {
  print(await measure(stage, Number(options.runs)));
} finally {
  stopping.abort();
  await stage.close();
}

/** One list of milliseconds since the INSERT for each step. The first run warms up and does not count. */
async function measure({ clients, namespace, served, ...stage }: Stage, runs: number): Promise<Map<Step, number[]>> {
  served.beforeAnswer(async () => note("clone's first request"));
  void watchPods(clients, { namespace: namespace.name, see: notePod, signal: stopping.signal });
  await stage.startEngine();
  const repo_url = await stage.forPods(served.url);
  const results = new Map<Step, number[]>(STEPS.map((step) => [step, []]));
  for (let run = 0; run <= runs; run += 1) {
    seen = new Map();
    earlierPods.add(pod);
    const insertedAt = Date.now();
    const { id, result } = await stage.work({
      addressee: `worker-${run}`, // its slot is free
      prompt: "Stamp it.",
      repo_url,
      branch: `stamp-${run}`,
    });
    note("report settled");
    if (result["success"] !== true) throw new Error(`a run failed: ${JSON.stringify(result)}`);
    const { rows } = await stage.database.pool.query<{ started_at: Date; launched_at: Date }>(
      "select started_at, launched_at from runs where task_id = $1",
      [id],
    );
    note("claimed", rows[0]?.started_at.getTime());
    note("Job created", rows[0]?.launched_at.getTime());
    if (run === 0) continue;
    for (const [step, atMs] of seen) results.get(step)?.push(atMs - insertedAt);
  }
  return results;
}

function notePod({ metadata, spec, status }: V1Pod): void {
  const name = metadata?.name ?? "";
  if (earlierPods.has(name)) return;
  pod = name;
  note("pod seen");
  if (spec?.nodeName !== undefined) note("pod bound to the node");
  const running = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .filter(({ state }) => state?.running !== undefined)
    .map(({ name }) => name);
  if (running.includes("agent")) note("agent seen running");
  if (running.includes("publish")) note("publish seen running");
}

function print(results: Map<Step, number[]>): void {
  console.log("| ms after the INSERT | p50 | p99 | runs |\n| --- | --- | --- | --- |");
  for (const [step, times] of results) {
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number): number | undefined => sorted[Math.ceil(share * sorted.length) - 1];
    console.log(`| ${step} | ${at(0.5)} | ${at(0.99)} | ${sorted.length} |`);
  }
}
