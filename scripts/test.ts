/**
 * `npm test`: every test on the embedded server, then the schema's tests once more on Debian's Postgres 15
 * where that is installed. With arguments, just those files (and options of the test runner).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { kustomizeProgram } from "../test/kubernetes/deploy/kustomize.ts";
import { clusterProgram } from "../test/kubernetes/support/cluster-program.ts";
import { kubernetesProblem, ownClusterProblem } from "../test/kubernetes/support/shared-cluster.ts";
import { startDebianServer } from "../test/support/debian-server.ts";

const ROOT = join(import.meta.dirname, "..");
const EVERY_TEST = "test/**/*.test.ts";
const SCHEMA_TESTS = [
  "test/database/*.test.ts",
  "test/model/counterexamples.test.ts",
  "test/embedded-postgres/migrate.test.ts",
];

/** Two cores are what the machine of the continuous integration has. A test waits with deadlines of its own; whoever is beyond this hangs. */
const OPTIONS = ["--test-concurrency=2", "--test-timeout=600000"];

const chosen = process.argv.slice(2);
if (chosen.length === 0 || chosen.some((file) => file.includes("kubernetes"))) await prepareKubernetes();
const codes = [await runTests(chosen.length > 0 ? chosen : [EVERY_TEST], {})];
if (chosen.length === 0) codes.push(await runOnOldestServer());
process.exitCode = codes.find((code) => code !== 0) ?? 0;

/** Builds the Kubernetes test cluster, and kustomize, where they are not there yet: it takes longer than a test may. */
async function prepareKubernetes(): Promise<void> {
  const [all, own] = [await kubernetesProblem(), await ownClusterProblem()];
  if (all !== false) console.log(`The Kubernetes tests are skipped: ${all}.`);
  else if (own !== false) console.log(`The tests that break a control plane of their own are skipped: ${own}.`);
  if (own !== false) return;
  // Where it cannot be built, the tests that need it fail, and the others run.
  for (const build of [() => clusterProgram(console.log), kustomizeProgram]) {
    await build().catch((error: Error) => console.error(error.message));
  }
}

async function runOnOldestServer(): Promise<number> {
  const server = await startDebianServer();
  if (server === null) {
    console.log("The schema's tests did not run on Postgres 15: Debian's package postgresql-15 is not installed.");
    return 0;
  }
  console.log("The schema's tests once more, on Postgres 15:");
  try {
    return await runTests(SCHEMA_TESTS, { MYZEL_TEST_DATABASE_URL: server.url });
  } finally {
    await server.stop();
  }
}

async function runTests(files: readonly string[], environment: Record<string, string>): Promise<number> {
  const child = spawn(process.execPath, ["--test", ...OPTIONS, ...files], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: "inherit",
  });
  // Ctrl-C reaches the tests too; what they started is ended by them, and then it is this program's turn.
  const ignore = (): void => {};
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, ignore);
  const [code] = (await once(child, "exit")) as [number | null];
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, ignore);
  return code ?? 1;
}
