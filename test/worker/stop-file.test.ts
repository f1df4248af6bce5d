/** A run that is told to stop by a file, as on Kubernetes: the agent ends, and publish keeps what there is. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { EXIT } from "../../worker-image/contract.ts";
import { briefWith, makeWorkspace, runPhase } from "../support/agent-phase.ts";
import { bareRemote, type BareRemote } from "../support/git-remotes.ts";
import { podRun, type PodRun } from "../support/pod-run.ts";
import { eventually } from "../support/waiting.ts";

const INIT = `echo '{"type":"system","subtype":"init","session_id":"s-1","model":"m","apiKeySource":"none"}'`;

let directory: string;
let stopFile: string;
let closing: (() => Promise<void> | void)[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "myzel-stop-"));
  chmodSync(directory, 0o755);
  stopFile = join(directory, "at");
  closing = [() => rmSync(directory, { recursive: true })];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
});

const tellToStop = (): void => writeFileSync(stopFile, new Date().toISOString());

/** The CLI has come so far. */
const BEGAN = "touch ../tmp/began";

/** Runs the agent phase with a shell script as its CLI, while `during` happens. */
async function agentWith(script: string, during: (began: () => Promise<unknown>) => Promise<void>) {
  const workspace = makeWorkspace();
  closing.push(workspace.remove);
  const environment = {
    MYZEL_CLAUDE_PATH: workspace.write("claude", `#!/bin/sh\n${script}\n`, 0o755),
    MYZEL_STOP_FILE: stopFile,
  };
  const began = () => eventually("the CLI has begun", async () => workspace.exists("tmp/began"));
  const running = runPhase(workspace, { brief: briefWith(), environment });
  await during(began);
  return { ...(await running), began: workspace.exists("tmp/began"), asked: workspace.exists("tmp/asked") };
}

test("an agent whose stop file fills is asked to end, and leaves the outcome stopped with its session", async () => {
  writeFileSync(stopFile, "");
  const script = `${INIT}\ntrap 'touch ../tmp/asked; exit 0' TERM\n${BEGAN}\nsleep 300 & wait $!`;
  const run = await agentWith(script, async (began) => {
    await began();
    tellToStop();
  });
  assert.equal(run.exitCode, EXIT.ok, "so that publish runs");
  assert.deepEqual([run.outcome?.code, run.outcome?.session_id, run.asked], ["stopped", "s-1", true]);
  assert.ok(run.wallMs < 58_000, String(run.wallMs)); // the time limit is 60 s
});

test("an agent that does not listen is killed", async () => {
  const run = await agentWith(`trap '' TERM\n${INIT}\n${BEGAN}\nwhile :; do sleep 0.2; done`, async (began) => {
    await began();
    tellToStop();
  });
  assert.deepEqual([run.exitCode, run.outcome?.code], [EXIT.ok, "stopped"]);
});

test("a stop before the agent began leaves the outcome stopped, and a file that is not there stops nothing", async () => {
  const gone = await agentWith(`${INIT}\nexit 1`, async () => {});
  assert.equal(gone.outcome?.code, "agent_error");
  tellToStop();
  const stopped = await agentWith(`${INIT}\nsleep 300`, async () => {});
  assert.deepEqual([stopped.exitCode, stopped.outcome?.code], [EXIT.ok, "stopped"]);
});

/** A run whose agent has made a commit, before publish. */
async function worked(remote: BareRemote): Promise<{ pod: PodRun; head: string }> {
  closing.push(remote.remove);
  const pod = await podRun({ repo_url: remote.url, branch: "work" });
  closing.push(pod.close);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.write({ "one.txt": "1" });
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", "One");
  pod.outcome();
  pod.environment["MYZEL_STOP_FILE"] = stopFile;
  return { pod, head: pod.git("rev-parse", "HEAD") };
}

async function keptHead(pod: PodRun): Promise<string | undefined> {
  return (await pod.db.pool.query("select head_sha from run_work where run_id = $1", [pod.runId])).rows[0]?.head_sha;
}

const stopByHand = (pod: PodRun) => pod.db.pool.query("select stop($1)", [pod.taskId]);

test("publish of a run that was stopped only keeps, whether the file or the database says so first", async () => {
  for (const tell of [tellToStop, () => {}]) {
    rmSync(stopFile, { force: true });
    const remote = bareRemote();
    const { pod, head } = await worked(remote);
    await stopByHand(pod);
    tell();
    const end = await pod.phase("publish");
    assert.equal(end.exitCode, 0, end.stderr);
    assert.deepEqual(
      [await keptHead(pod), (await pod.stored()).report, remote.head("work")],
      [head, null, null],
      String(tell),
    );
  }
});

test("a publish that is under way is broken off by the file, and keeps what it would have pushed", async () => {
  const remote = bareRemote();
  const { pod, head } = await worked(remote);
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(silent, "listening");
  closing.push(() => void silent.close());
  const { port } = silent.address() as AddressInfo;
  // The remote takes the call and never answers.
  pod.environment["MYZEL_GIT_INSTEAD_OF"] = `${remote.url}=http://127.0.0.1:${port}/silent.git`;
  const publishing = pod.phase("publish");
  await eventually("publish waits for the remote", async () => sockets.length > 0);
  await stopByHand(pod);
  tellToStop();
  silent.close();
  for (const socket of sockets) socket.destroy();
  const end = await publishing;
  assert.equal(end.exitCode, 0, end.stderr);
  assert.deepEqual([await keptHead(pod), (await pod.stored()).report, remote.head("work")], [head, null, null]);
});

test("a run whose report is in keeps nothing more, and is not reported twice", async () => {
  const { pod } = await worked(bareRemote());
  assert.equal((await pod.phase("publish")).exitCode, 0);
  const { report } = await pod.stored();
  assert.equal(report?.success, true);
  tellToStop();
  assert.equal((await pod.phase("publish")).exitCode, EXIT.fenced);
  assert.deepEqual([(await pod.stored()).report, await keptHead(pod)], [report, undefined]);
});
