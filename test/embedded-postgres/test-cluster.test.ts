import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ping } from "../../engine/embedded-postgres/ping.ts";
import { serverProcesses } from "../../engine/embedded-postgres/processes.ts";

const USER = `
  import { testClusterUrl } from ${JSON.stringify(join(import.meta.dirname, "..", "support", "test-cluster.ts"))};
  console.log(await testClusterUrl());
  setInterval(() => {}, 60_000);
`;

/** A process that needs a database, in a temporary directory (and so with a cluster) apart from this run's own. */
function databaseUser(t: TestContext, tmp: string): ChildProcess {
  const { MYZEL_TEST_DATABASE_URL: _, ...env } = process.env;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", USER], {
    env: { ...env, TMPDIR: tmp },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function urlOf(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return url;
}

async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "myzel-cluster-"));
  await chmod(directory, 0o711);
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, "the condition was not met within a minute");
    await delay(50);
  }
}

test("processes that start at once share one server, and once the last is killed nothing is left of it", async (t) => {
  const tmp = await temporaryDirectory(t);
  const users = [1, 2, 3].map(() => databaseUser(t, tmp));
  const urls = await Promise.all(users.map(urlOf));
  assert.equal(new Set(urls).size, 1);
  users[0]?.kill("SIGKILL");
  users[1]?.kill("SIGKILL");
  assert.equal(await ping(urls[0] ?? ""), "ready");
  users[2]?.kill("SIGKILL");
  await until(async () => (await readdir(tmp)).length === 0);
  assert.equal(await ping(urls[0] ?? ""), "not yet");
});

test("what a killed owner left does not stand in the way of the next test run", async (t) => {
  const tmp = await temporaryDirectory(t);
  const first = databaseUser(t, tmp);
  const url = await urlOf(first);
  const [name] = await readdir(tmp);
  assert.ok(name);
  const cluster = join(tmp, name, "postgres");
  const owner = await ownerOf(join(tmp, name));
  process.kill(owner, "SIGKILL");
  first.kill("SIGKILL");
  await until(async () => !existsSync(`/proc/${owner}/cwd`));
  assert.equal(await ping(url), "ready");

  const second = databaseUser(t, tmp);
  const next = await urlOf(second);
  assert.notEqual(next, url);
  assert.equal(await ping(next), "ready");
  second.kill("SIGKILL");
  await until(async () => (await readdir(tmp)).length === 0 && (await serverProcesses(cluster)).length === 0);
});

/** Pid of the owner that was started with this directory. */
async function ownerOf(directory: string): Promise<number> {
  for (const pid of await readdir("/proc")) {
    const command = await readFile(join("/proc", pid, "cmdline"), "utf8").catch(() => "");
    if (command.includes("cluster-owner.ts") && command.includes(directory)) return Number(pid);
  }
  return assert.fail("the owner does not run");
}
