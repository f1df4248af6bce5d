/** How test processes come to the program of the test cluster, or say why not; nothing is built here. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { oneAtATime } from "./support/one-at-a-time.ts";

const run = promisify(execFile);
const SUPPORT = join(import.meta.dirname, "support");

test("builders of the same thing wait for one another, and the next begins when one has failed", async () => {
  const name = `building-test-${process.pid}`;
  let working = 0;
  const results = await Promise.allSettled(
    [1, 2, 3, 4].map((builder) =>
      oneAtATime(name, async () => {
        working += 1;
        assert.equal(working, 1);
        await new Promise((resolve) => setImmediate(resolve));
        working -= 1;
        if (builder === 1) throw new Error("no room");
        return builder;
      }),
    ),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled", "fulfilled"],
  );
});

test("a builder that is killed holds nobody up", async (t) => {
  const name = `killed-test-${process.pid}`;
  const program = `
    const { oneAtATime } = await import(${JSON.stringify(join(SUPPORT, "one-at-a-time.ts"))});
    await oneAtATime(process.argv[1], async () => {
      console.log("held");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  const holder = spawn(process.execPath, ["--input-type=module", "--eval", program, name], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  let begun = false;
  const next = oneAtATime(name, async () => void (begun = true));
  assert.equal(begun, false);
  holder.kill("SIGKILL");
  await next;
  assert.equal(begun, true);
});

test("without Go and without a kubeconfig the tests are skipped with the reason", async (t) => {
  const home = await mkdtemp(join(tmpdir(), "myzel-without-go-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  const problem = async (environment: Record<string, string>): Promise<string> => {
    const module = JSON.stringify(join(SUPPORT, "shared-cluster.ts"));
    const program = `const { kubernetesProblem } = await import(${module}); console.log(await kubernetesProblem());`;
    const env = { PATH: home, HOME: home, ...environment };
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program], { env });
    return stdout.trim();
  };
  assert.match(await problem({}), /no Go .* MYZEL_TEST_KUBECONFIG/);
  assert.equal(await problem({ MYZEL_TEST_KUBECONFIG: "/etc/kubernetes/admin.conf" }), "false");
});
