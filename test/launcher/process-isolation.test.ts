/** What a run of the process launcher gets to see, and that nothing of it outlives its end. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findProcesses } from "../../engine/launch/process/end-processes.ts";
import { processInfo } from "../../engine/launch/process/proc.ts";
import { readJson, type RunRecord, type SupervisorRecord } from "../../engine/launch/process/run-directory.ts";
import {
  isRoot,
  launchSpec,
  needsRoot,
  observation,
  openBench,
  openLauncher,
  waitFor,
  waitForEnd,
  waitForNote,
} from "./process-support.ts";
import type { Bench } from "./process-support.ts";

const SHOW =
  "note(process.env.MYZEL_PHASE!, JSON.stringify({ ...process.env, uid: process.getuid!(), gid: process.getgid!(), groups: process.getgroups!(), umask: process.umask() }));";
const SECRETS = ["MYZEL_RUN_TOKEN", "MYZEL_DATABASE_URL", "MYZEL_GIT_PASSWORD", "CLAUDE_CODE_OAUTH_TOKEN"];

/** Children with a trick each; they say their pid once they have it and live on. */
const ESCAPES = `
const sleeper = 'echo $$ >> "$0"; exec sleep 1000';
const pids = process.env.MYZEL_WORKSPACE + "/pids";
cp.spawn("setsid", ["sh", "-c", sleeper, pids], { detached: true, stdio: "ignore" });
cp.spawn("setsid", ["sh", "-c", "(setsid sh -c '" + sleeper.replaceAll('"$0"', '"$1"').replaceAll("'", "'\\\\''") + "' x \\"$0\\" &) &", pids], { stdio: "ignore" });
cp.spawn("env", ["-i", "setsid", "sh", "-c", sleeper, pids], { detached: true, stdio: "ignore" });
cp.spawn("sh", ["-c", "trap '' TERM HUP INT; echo $$ >> \\"$0\\"; while :; do sleep 1; done", pids], { stdio: "ignore" });
const escaped = () => { try { return fs.readFileSync(pids, "utf8").trim().split("\\n").length; } catch { return 0; } };
while (escaped() < 4) await new Promise((r) => setTimeout(r, 10));
note("pids", fs.readFileSync(pids, "utf8"));
`;

test("each phase gets the secrets of its own and no other", async (t) => {
  const bench = openBench(t, { checkout: SHOW, agent: SHOW, publish: SHOW });
  const spec = launchSpec({ repoUrl: "https://me:git-password@example.invalid/r.git" });
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  const held = (phase: string) => SECRETS.filter((name) => name in JSON.parse(bench.note(phase)));
  assert.deepEqual(held("checkout"), ["MYZEL_RUN_TOKEN", "MYZEL_DATABASE_URL", "MYZEL_GIT_PASSWORD"]);
  assert.deepEqual(held("agent"), ["CLAUDE_CODE_OAUTH_TOKEN"]);
  assert.deepEqual(held("publish"), SECRETS);
});

test("a phase's environment is made from nothing", async (t) => {
  const environment = {
    ...process.env,
    ANTHROPIC_API_KEY: "sk-1",
    GH_TOKEN: "gh-1",
    NODE_OPTIONS: "--no-warnings",
    PATH: `/x/node_modules/.bin:${process.env["PATH"]}`,
    TZ: "Europe/Berlin",
  };
  const bench = openBench(t, { agent: SHOW, publish: SHOW }, { environment, modelBaseUrl: "http://127.0.0.1:1/" });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  const agent = JSON.parse(bench.note("agent")) as Record<string, string>;
  const work = join(bench.directory(spec.jobName), "work");
  const { PATH, LANG, MYZEL_CLAUDE_PATH, uid: _uid, gid: _gid, groups: _groups, ...rest } = agent;
  assert.ok(PATH && LANG && MYZEL_CLAUDE_PATH && !PATH.includes("/x/node_modules/.bin"));
  assert.deepEqual(rest, {
    CLAUDE_CODE_OAUTH_TOKEN: "claude-token-of-the-test",
    HOME: join(work, "home"),
    MYZEL_MODEL_BASE_URL: "http://127.0.0.1:1/",
    MYZEL_PHASE: "agent",
    MYZEL_RUN_ID: spec.runId,
    MYZEL_RUN_MARK: spec.runId,
    MYZEL_TERMINATION_LOG: join(bench.directory(spec.jobName), "termination-agent"),
    MYZEL_WORKSPACE: work,
    TMPDIR: join(work, "tmp"),
    TZ: "Europe/Berlin",
    umask: 0o022,
  });
  assert.notEqual(JSON.parse(bench.note("publish")).HOME, rest["HOME"]);
});

test("no phase leaves its memory in a core file, and the supervisor none either", async (t) => {
  const limit = (value: string) => spawnSync("prlimit", ["--pid", String(process.pid), `--core=${value}`]);
  const before = coreLimit("/proc/self/limits");
  assert.equal(limit("unlimited:").status, 0);
  t.after(() => limit(`${before}:`));
  const show = 'note(process.env.MYZEL_PHASE!, fs.readFileSync("/proc/self/limits", "utf8"));';
  const wait = "await new Promise((r) => setTimeout(r, 60_000));";
  const bench = openBench(t, { checkout: show, agent: show + wait, publish: show });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  const supervisor = readJson<SupervisorRecord>(join(bench.directory(spec.jobName), "supervisor.json"));
  assert.equal(coreLimit(`/proc/${supervisor?.pid}/limits`), "0");
  await bench.launcher.stop(spec.jobName, "seen");
  await waitForEnd(bench.launcher, spec.jobName);
  for (const phase of ["checkout", "agent", "publish"]) {
    assert.equal(coreLimit(join(bench.notes, phase)), "0", phase);
  }
});

function coreLimit(limits: string): string | undefined {
  return /^Max core file size +(\S+)/m.exec(readFileSync(limits, "utf8"))?.[1];
}

test("no secret lies in the run directory, the log or a command line, even when a phase prints it", async (t) => {
  const bench = openBench(t, {
    agent: 'console.log("token", process.env.CLAUDE_CODE_OAUTH_TOKEN); note("agent", "ran"); forever();',
  });
  const spec = launchSpec({ repoUrl: "https://me:git-password@example.invalid/r.git" });
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  const supervisor = readJson<SupervisorRecord>(join(bench.directory(spec.jobName), "supervisor.json"));
  const commandLine = readFileSync(`/proc/${supervisor?.pid}/cmdline`, "utf8");
  const environment = readFileSync(`/proc/${supervisor?.pid}/environ`, "utf8");
  await bench.launcher.stop(spec.jobName, "enough");
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.match(end.logTail ?? "", /token \[masked\]/);
  const written = readdirSync(bench.directory(spec.jobName), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
  for (const secret of [spec.token, "claude-token-of-the-test", "database-password", "git-password"]) {
    assert.ok(
      ![...written, commandLine, environment].some((text) => text.includes(secret)),
      "a secret was written down",
    );
  }
});

test(
  "where the engine is root, live runs have users of their own that cannot reach one another",
  { skip: needsRoot },
  async (t) => {
    const bench = openBench(t, {
      agent: `${SHOW.replace("process.env.MYZEL_PHASE!", "process.env.MYZEL_RUN_ID!")} forever();`,
    });
    const specs = [launchSpec(), launchSpec()] as const;
    for (const spec of specs) await bench.launcher.launch(spec);
    const seen = await Promise.all(specs.map(async ({ runId }) => JSON.parse(await waitForNote(bench, runId))));
    assert.notEqual(seen[0].uid, seen[1].uid);
    for (const { uid, gid, groups } of seen) assert.deepEqual([uid > 1_000_000, gid, groups], [true, uid, [uid]]);
    const work = statSync(join(bench.directory(specs[0].jobName), "work"));
    assert.deepEqual([work.uid, work.mode & 0o777], [seen[0].uid, 0o700]);
    for (const name of ["spec.json", "log", "supervisor.log"]) {
      assert.equal(statSync(join(bench.directory(specs[0].jobName), name)).mode & 0o077, 0, name);
    }
    assert.equal(statSync(join(bench.directory(specs[0].jobName), "supervisor.sock")).mode & 0o077, 0);
    for (const { jobName } of specs) await bench.launcher.stop(jobName, "enough");
    for (const { jobName } of specs) {
      await waitForEnd(bench.launcher, jobName);
      await bench.launcher.remove(jobName);
    }
    assert.deepEqual(readdirSync(join(bench.dataDir, "uids")), []);
  },
);

test("a user id base that does not exist here is refused with the setting's name", { skip: needsRoot }, async (t) => {
  const bench = openBench(t, {}, { runUidBase: 4_294_967_000 });
  await assert.rejects(bench.launcher.launch(launchSpec()), /MYZEL_RUN_UID_BASE/);
});

test("a stop leaves no descendant: not in other sessions, not orphaned, not with an empty environment", async (t) => {
  const bench = openBench(t, { agent: `${ESCAPES} forever();` });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  const pids = (await waitForNote(bench, "pids")).trim().split("\n").map(Number);
  assert.equal(pids.filter((pid) => processInfo(pid) !== null).length, 4);
  await bench.launcher.stop(spec.jobName, "enough");
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.equal(end.stopped, true);
  assert.deepEqual(
    pids.filter((pid) => processInfo(pid) !== null),
    [],
  );
});

test("publish starts when every process of the agent is dead", async (t) => {
  const bench = openBench(t, {
    agent: `${ESCAPES} process.exit(0);`,
    publish:
      'note("alive", JSON.stringify(fs.readFileSync(process.env.MYZEL_WORKSPACE + "/pids", "utf8").trim().split("\\n").filter((pid) => { try { return !/^[^)]*\\) [ZX]/.test(fs.readFileSync("/proc/" + pid + "/stat", "utf8")); } catch { return false; } })));',
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  assert.equal(bench.note("alive"), "[]");
});

test("a run that forks faster than it can be counted is ended all the same", async (t) => {
  const bench = openBench(t, {
    agent: `for (let i = 0; i < 6; i++) cp.spawn("setsid", ["sh", "-c", "f() { while :; do (setsid sleep 0.2 &) ; done; }; f & f"], { detached: true, stdio: "ignore" }).unref(); note("agent", "ran"); forever();`,
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  await bench.launcher.stop(spec.jobName, "enough");
  await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(await processesOf(bench, spec), []);
});

test("a run whose supervisor was killed is gone for good: nothing of it lives, and the end says vanished", async (t) => {
  const bench = openBench(t, { agent: `${ESCAPES} console.log("last words"); note("agent", "ran"); forever();` });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  await waitFor(
    "the log",
    () => readFileSync(join(bench.directory(spec.jobName), "log"), "utf8").includes("last words") || undefined,
  );
  const pids = (await waitForNote(bench, "pids")).trim().split("\n").map(Number);
  process.kill(readJson<SupervisorRecord>(join(bench.directory(spec.jobName), "supervisor.json"))?.pid ?? 0, "SIGKILL");
  const end = await waitForEnd(openLauncher(t, bench.settings), spec.jobName);
  assert.equal(end.gone, "vanished");
  assert.match(end.logTail ?? "", /last words/);
  // Without a user of its own and without its parent, one with an empty environment is found by its files.
  assert.deepEqual(
    pids.filter((pid) => processInfo(pid) !== null),
    [],
  );
  assert.deepEqual(await processesOf(bench, spec), []);
  assert.match((await bench.launcher.launch(spec)).podName ?? "", /\//);
  assert.equal((await observation(bench.launcher, spec.jobName))?.state, "ended");
});

test("a supervisor that is asked to go by the machine ends its run and calls it vanished", async (t) => {
  const bench = openBench(t, { agent: 'note("agent", "ran"); forever();' });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  process.kill(readJson<SupervisorRecord>(join(bench.directory(spec.jobName), "supervisor.json"))?.pid ?? 0, "SIGTERM");
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual([end.gone, end.stopped], ["vanished", false]);
});

test("a supervisor lives in a session of its own, where no Ctrl-C reaches it", async (t) => {
  const bench = openBench(t, { agent: 'note("agent", "ran"); forever();' });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  const pid = readJson<SupervisorRecord>(join(bench.directory(spec.jobName), "supervisor.json"))?.pid ?? 0;
  const info = processInfo(pid);
  assert.deepEqual([info?.session, info?.hasTerminal], [pid, false]);
  process.kill(-pid, "SIGINT");
  assert.equal((await observation(bench.launcher, spec.jobName))?.state, "running");
});

test("a run whose directory is deleted ends by itself, and is launched anew only after that", async (t) => {
  const bench = openBench(t, { agent: 'note("agent", process.pid); forever();' });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  const agent = Number(await waitForNote(bench, "agent"));
  rmSync(bench.directory(spec.jobName), { recursive: true, force: true });
  assert.equal(await observation(bench.launcher, spec.jobName), undefined);
  await bench.launcher.launch(spec);
  assert.equal(processInfo(agent), null, "the old run is dead when the new one starts");
  assert.equal((await observation(bench.launcher, spec.jobName))?.runId, spec.runId);
});

test("a login directory is lent to agent and publish, read-only for them, and gone when the run has ended", async (t) => {
  const bench = openBench(t, {
    checkout: SHOW,
    agent:
      'note("login", fs.readFileSync(join(process.env.MYZEL_CLAUDE_DIR!, ".credentials.json"))); console.log("refresh-token-of-login"); try { fs.writeFileSync(join(process.env.MYZEL_CLAUDE_DIR!, ".credentials.json"), "x"); note("written", "yes"); } catch {}',
    publish: SHOW,
  });
  const login = join(bench.settings.dataDir, "..", "login");
  mkdirSync(login, { mode: 0o700 });
  writeFileSync(
    join(login, ".credentials.json"),
    JSON.stringify({ claudeAiOauth: { refreshToken: "refresh-token-of-login" } }),
    { mode: 0o600 },
  );
  writeFileSync(join(login, "history.jsonl"), "private");
  const spec = launchSpec({ credential: { ...launchSpec().credential, name: "max", file_path: login } });
  await bench.launcher.launch(spec);
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.match(bench.note("login"), /refresh-token-of-login/);
  assert.match(end.logTail ?? "", /\[masked\]/);
  assert.equal(existsSync(join(bench.notes, "written")), !isRoot);
  assert.equal(JSON.parse(bench.note("checkout")).MYZEL_CLAUDE_DIR, undefined);
  assert.equal(existsSync(join(bench.directory(spec.jobName), "claude")), false);
});

async function processesOf(bench: Bench, spec: { runId: string; jobName: string }): Promise<number[]> {
  const directory = bench.directory(spec.jobName);
  const uid = readJson<RunRecord>(join(directory, "spec.json"))?.uid ?? null;
  const sinceTicks = readJson<SupervisorRecord>(join(directory, "supervisor.json"))?.startTicks ?? 0;
  return findProcesses({ runId: spec.runId, directory, uid, sessions: [], sinceTicks });
}
