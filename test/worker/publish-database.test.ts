import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, connect, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Report } from "../../worker-image/contract.ts";
import { publish } from "../../worker-image/phases/publish.ts";
import { bareRemote, type BareRemote, httpRemote } from "../support/git-remotes.ts";
import { type PodRun, podRun, startPhase } from "../support/pod-run.ts";
import { eventually } from "../support/waiting.ts";

let remote: BareRemote;
let pod: PodRun;
let head: string;
beforeEach(async () => {
  remote = bareRemote();
  pod = await podRun({ repo_url: remote.url });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.write({ "work.txt": "" });
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", "Work");
  head = pod.git("rev-parse", "HEAD");
  pod.outcome();
});
afterEach(async () => {
  await pod.close();
  remote.remove();
});

const impatient = { signal: new AbortController().signal, databasePatienceMs: 300, networkPatienceMs: 0 };

function spooled(): Report {
  const path = join(pod.directory, "spool", "report.json");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  return JSON.parse(readFileSync(path, "utf8")) as Report;
}

/** A door to the database that the test can shut. */
async function door(): Promise<{ url: string; shut(): void; server: Server }> {
  const real = new URL(pod.environment["MYZEL_DATABASE_URL"] ?? "");
  let open = true;
  const server = createServer((socket) => {
    if (!open) return void socket.destroy();
    const through = real.searchParams.get("host")?.startsWith("/")
      ? connect(`${real.searchParams.get("host")}/.s.PGSQL.${real.port || "5432"}`)
      : connect(Number(real.port), real.hostname);
    socket.pipe(through).pipe(socket);
    for (const end of [socket, through]) end.on("error", () => (socket.destroy(), through.destroy()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(real);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  url.searchParams.delete("host");
  return { url: url.href, shut: () => (open = false), server };
}

test("where the database is gone from the beginning, nothing is pushed and the run counts as lost", async () => {
  const end = await publish(
    { ...pod.environment, MYZEL_DATABASE_URL: "postgres://u:pa55word12@127.0.0.1:1/x" },
    impatient,
  );
  assert.equal(end.exitCode, 40);
  assert.deepEqual([spooled().success, spooled().code], [false, "lost"]);
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
});

test("where the database is gone, a failure of the agent's own is reported as what it is", async () => {
  pod.outcome({ success: false, code: "usage_limit", error: "5-hour limit", resets_at: 1_900_000_000 });
  const end = await publish({ ...pod.environment, MYZEL_DATABASE_URL: "postgres://u:p@127.0.0.1:1/x" }, impatient);
  assert.equal(end.exitCode, 40);
  const { success, code, error, resets_at } = spooled();
  assert.deepEqual([success, code, error, resets_at], [false, "usage_limit", "5-hour limit", 1_900_000_000]);
});

test("where the database goes after the push, the report is spooled whole", async () => {
  const { url, shut, server } = await door();
  try {
    // The remote's own hook shuts the door: after the announcement, before the final report.
    mkdirSync(join(remote.path, "hooks"), { recursive: true });
    const pushed = join(pod.directory, "pushed");
    const go = join(pod.directory, "go");
    const hook = `#!/bin/sh\ntouch ${pushed}\nwhile [ ! -e ${go} ]; do sleep 0.02; done\n`;
    writeFileSync(join(remote.path, "hooks", "post-receive"), hook, { mode: 0o755 });
    const ended = publish({ ...pod.environment, MYZEL_DATABASE_URL: url }, impatient);
    await eventually("the push", () => existsSync(pushed));
    shut();
    writeFileSync(go, "");
    assert.equal((await ended).exitCode, 40);
    const report = spooled();
    assert.deepEqual([report.success, report.commit_sha, remote.head(report.branch ?? "")], [true, head, head]);
    assert.deepEqual((await pod.stored()).announced, report);
    assert.equal((await pod.stored()).report, null);
  } finally {
    server.close();
  }
});

test("a fenced publish does nothing: no fetch, no push, no report", async () => {
  await pod.db.pool.query("select stop($1)", [pod.taskId]);
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 21);
  assert.match(end.message ?? "", /nothing was done/);
  assert.equal(existsSync(join(pod.directory, "private")), false);
  assert.equal(existsSync(join(pod.directory, "spool")), false);
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
});

test("a run that belongs to another pod is not published", async () => {
  assert.equal((await pod.phase("publish", { MYZEL_BOUND_TO: "pod-2" })).exitCode, 21);
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
});

test("a run that is stopped while publish works is fenced before the push", async () => {
  const http = await httpRemote(remote);
  try {
    await pod.db.pool.query(
      "set local session_replication_role = replica; update tasks set repo_url = '" + http.url + "'",
    );
    http.beforeAnswer(() => pod.db.pool.query("select stop($1)", [pod.taskId]));
    assert.equal((await pod.phase("publish")).exitCode, 21);
    assert.deepEqual([remote.branches(), (await pod.stored()).announced], [["refs/heads/main"], null]);
  } finally {
    await http.close();
  }
});

test("SIGTERM during the push ends publish at once, and the next one finishes the work with the same commit", async () => {
  mkdirSync(join(remote.path, "hooks"), { recursive: true });
  const reached = join(pod.directory, "reached");
  const hook = join(remote.path, "hooks", "pre-receive");
  writeFileSync(hook, `#!/bin/sh\ntouch ${reached}\nexec sleep 60\n`, { mode: 0o755 });
  pod.write({ "left.txt": "" });
  const child = startPhase("publish", pod.environment);
  const ended = once(child, "exit");
  await eventually("the hook runs", () => existsSync(reached));
  const announced = (await pod.stored()).announced;
  child.kill("SIGTERM");
  assert.deepEqual((await ended)[0], 143);
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);

  writeFileSync(hook, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  assert.equal((await pod.phase("publish")).exitCode, 0);
  const { report } = await pod.stored();
  assert.deepEqual(report, announced);
  assert.equal(remote.head(report?.branch ?? ""), report?.commit_sha);
});
