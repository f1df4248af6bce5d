/** The life cycle of a run of the process launcher. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { JobEnd, LogPiece } from "../../engine/launch/launcher.ts";
import {
  launchSpec,
  observation,
  openBench,
  openLauncher,
  waitFor,
  waitForEnd,
  waitForNote,
} from "./process-support.ts";

/** A publish that fails, and notes whether it may do more than keep. */
const KEEPING = 'note("publish", `keep only: ${process.env.MYZEL_KEEP_ONLY}`); process.exit(9);';

test("a run goes through its three phases in order and ends with their exit codes", async (t) => {
  const bench = openBench(t, {
    checkout: 'fs.writeFileSync(join(process.env.MYZEL_WORKSPACE!, "trace"), "checkout ");',
    agent: 'fs.appendFileSync(join(process.env.MYZEL_WORKSPACE!, "trace"), "agent ");',
    publish:
      'note("trace", fs.readFileSync(join(process.env.MYZEL_WORKSPACE!, "trace")) + "publish"); process.exit(40);',
  });
  const spec = launchSpec();
  const { podName } = await bench.launcher.launch(spec);
  assert.match(podName ?? "", new RegExp(`^${hostname()}/\\d+$`));
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(
    end.phases.map(({ phase, exitCode, signal }) => [phase, exitCode, signal]),
    [
      ["checkout", 0, null],
      ["agent", 0, null],
      ["publish", 40, null],
    ],
  );
  assert.equal(bench.note("trace"), "checkout agent publish");
  assert.deepEqual(
    [end.deadlineExceeded, end.stopped, end.outOfMemory, end.gone, end.spooledReport],
    [false, false, false, null, null],
  );
});

test("a phase that fails is the last one, and its sentence is in the end", async (t) => {
  const bench = openBench(t, {
    checkout:
      'fs.writeFileSync(process.env.MYZEL_TERMINATION_LOG!, "The branch is gone; run-token-0123456789abcdef"); process.exit(20);',
    agent: 'note("agent", "ran");',
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(end.phases, [
    { phase: "checkout", exitCode: 20, signal: null, message: "The branch is gone; [masked]" },
  ]);
  assert.equal(existsSync(join(bench.notes, "agent")), false);
});

test("launching the same run again changes nothing, while it runs and when it has ended", async (t) => {
  const bench = openBench(t, {
    agent:
      'note("agent-" + process.pid, "ran"); while (!fs.existsSync(process.env.MYZEL_WORKSPACE + "/go")) await new Promise((r) => setTimeout(r, 20));',
  });
  const spec = launchSpec();
  const first = await bench.launcher.launch(spec);
  assert.deepEqual(await bench.launcher.launch(spec), first);
  writeFileSync(join(bench.directory(spec.jobName), "work/go"), "");
  await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(await bench.launcher.launch(spec), first);
  assert.equal(readdirSync(bench.notes).length, 1);
});

test("a job name that belongs to another run is refused with a sentence", async (t) => {
  const bench = openBench(t, {});
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await assert.rejects(bench.launcher.launch(launchSpec({ jobName: spec.jobName })), /belongs to another run/);
});

test("concurrent launches of one run by several launchers start it once", async (t) => {
  const bench = openBench(t, { checkout: 'note("checkout-" + process.pid, "ran");' });
  const others = Array.from({ length: 3 }, () => openLauncher(t, bench.settings));
  const spec = launchSpec();
  const answers = await Promise.all([bench.launcher, ...others].map((launcher) => launcher.launch(spec)));
  assert.equal(new Set(answers.map(({ podName }) => podName)).size, 1);
  await waitForEnd(bench.launcher, spec.jobName);
  assert.equal(readdirSync(bench.notes).length, 1);
});

test("a run directory whose supervisor never started is no job yet, and the next launch starts it", async (t) => {
  const bench = openBench(t, {});
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  // What a crash between the making of the directory and the start leaves.
  const directory = bench.directory(spec.jobName);
  for (const name of readdirSync(directory)) {
    if (name !== "spec.json" && name !== "work") rmSync(join(directory, name), { recursive: true });
  }
  assert.equal(await observation(bench.launcher, spec.jobName), undefined);
  await bench.launcher.launch(spec);
  assert.equal((await waitForEnd(bench.launcher, spec.jobName)).phases.length, 3);
});

test("another launcher sees, follows and removes the runs of an engine that is gone", async (t) => {
  const bench = openBench(t, { agent: 'note("agent", "ran"); forever();' });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  await bench.launcher.close();
  const next = openLauncher(t, bench.settings);
  // A supervisor that does not answer within a second is alive, in no known phase.
  const seen = await waitFor("its phase", async () => {
    const now = await observation(next, spec.jobName);
    return now?.phase === null ? undefined : now;
  });
  assert.deepEqual([seen.runId, seen.state, seen.phase], [spec.runId, "running", "agent"]);
  await next.remove(spec.jobName);
  assert.ok(existsSync(bench.directory(spec.jobName)), "a live run is left alone");
  await next.stop(spec.jobName, "enough");
  assert.equal((await waitForEnd(next, spec.jobName)).stopped, true);
  await next.remove(spec.jobName);
  assert.equal(existsSync(bench.directory(spec.jobName)), false);
  assert.deepEqual(await next.observe(), []);
  assert.deepEqual(readdirSync(join(bench.dataDir, "runs")), []);
});

test("the deadline ends a run, and the end says so; publish then keeps its work", async (t) => {
  const bench = openBench(t, { agent: 'note("agent", "ran"); forever();', publish: KEEPING });
  const ranAgent = () => existsSync(join(bench.notes, "agent"));
  // The deadline counts from the launch: on a slow machine the agent may not have begun by then.
  let end: JobEnd | undefined;
  for (let deadlineSeconds = 1; !ranAgent() && deadlineSeconds < 100; deadlineSeconds *= 3) {
    const spec = launchSpec({ deadlineSeconds });
    await bench.launcher.launch(spec);
    end = await waitForEnd(bench.launcher, spec.jobName, 200_000);
    assert.equal(end.deadlineExceeded, true);
  }
  assert.deepEqual(end?.phases.at(-1)?.signal, "SIGKILL");
  assert.match(bench.note("publish"), /keep only: 1/);
});

test("an agent phase that fails leaves its work to be kept, and its end is the run's", async (t) => {
  const bench = openBench(t, { agent: "process.exit(3);", publish: KEEPING });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(
    end.phases.map(({ phase, exitCode }) => [phase, exitCode]),
    [
      ["checkout", 0],
      ["agent", 3],
    ],
  );
  assert.match(bench.note("publish"), /keep only: 1/);
});

test("a report that was spooled stays, though the run is stopped at that moment", async (t) => {
  const bench = openBench(t, {
    publish: `if (process.env.MYZEL_KEEP_ONLY === "1") note("publish", "kept");
      fs.writeFileSync(join(process.env.MYZEL_SPOOL_DIR!, "report.json"), JSON.stringify({ success: true }));
      process.on("SIGTERM", () => process.exit(40)); note("spooled", "yes"); forever();`,
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "spooled");
  await bench.launcher.stop(spec.jobName, "enough");
  assert.deepEqual((await waitForEnd(bench.launcher, spec.jobName)).spooledReport, { success: true });
  assert.equal(existsSync(join(bench.notes, "publish")), false);
});

test("a stop lets an agent that listens end by itself; publish then keeps its work, and does nothing else", async (t) => {
  const bench = openBench(t, {
    agent:
      'process.on("SIGTERM", () => { console.log("I was asked"); process.exit(7); }); note("agent", "ran"); forever();',
    publish: KEEPING,
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  await bench.launcher.stop(spec.jobName, "changed\nmy mind");
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual([end.stopped, end.phases.at(-1)?.exitCode], [true, 7], JSON.stringify(end));
  assert.match(
    end.logTail ?? "",
    /I was asked\n\[myzel\] keeping what the run leaves\n\[myzel\] stopped: changed my mind/,
  );
  assert.match(bench.note("publish"), /keep only: 1/);
});

test("a stop before the agent began leaves nothing to keep", async (t) => {
  const bench = openBench(t, { checkout: 'note("checkout", "ran"); forever();', publish: 'note("publish", "ran");' });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "checkout");
  await bench.launcher.stop(spec.jobName, "enough");
  assert.equal((await waitForEnd(bench.launcher, spec.jobName)).stopped, true);
  assert.equal(existsSync(join(bench.notes, "publish")), false);
});

test("stopping or removing what is not known is no error", async (t) => {
  const bench = openBench(t, {});
  await bench.launcher.stop("task-unknown-1", "why not");
  await bench.launcher.remove("task-unknown-1");
  assert.deepEqual(await readAll(bench.launcher.logs("task-unknown-1", { follow: true })), "");
});

test("a report that publish left is in the end", async (t) => {
  const bench = openBench(t, {
    agent: 'try { fs.mkdirSync("../spool"); fs.writeFileSync("../spool/report.json", "{}"); } catch {}',
    publish:
      'fs.writeFileSync(join(process.env.MYZEL_SPOOL_DIR!, "report.json"), JSON.stringify({ success: true, summary: "done" })); process.exit(40);',
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  assert.deepEqual((await waitForEnd(bench.launcher, spec.jobName)).spooledReport, { success: true, summary: "done" });
});

test("a follower reads the whole log of all phases and ends with the run", async (t) => {
  const bench = openBench(t, {
    checkout: 'console.log("fetched");',
    agent:
      'console.log("thinking äöü"); note("agent", "ran"); while (!fs.existsSync(process.env.MYZEL_WORKSPACE + "/go")) await new Promise((r) => setTimeout(r, 20)); console.error("done");',
    publish: 'console.log("pushed");',
  });
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  const lines = bench.launcher.logs(spec.jobName, { follow: true })[Symbol.asyncIterator]();
  await waitForNote(bench, "agent");
  let text = "";
  while (!text.includes("thinking")) text += (await lines.next()).value?.text ?? "";
  assert.match(text, /checkout begins\nfetched\n.*agent begins\nthinking äöü\n/s);
  writeFileSync(join(bench.directory(spec.jobName), "work/go"), "");
  for (let next = await lines.next(); !next.done; next = await lines.next()) text += next.value.text;
  assert.match(text, /done\n.*publish begins\npushed\n$/s);
  assert.equal(await readAll(bench.launcher.logs(spec.jobName, { follow: false })), text);
});

test("a watcher is woken by phases, ends and new runs, and not after it has let go", async (t) => {
  const bench = openBench(t, {
    agent:
      'note("agent", "ran"); while (!fs.existsSync(process.env.MYZEL_WORKSPACE + "/go")) await new Promise((r) => setTimeout(r, 20));',
  });
  let wakes = 0;
  const stop = bench.launcher.watch(() => wakes++);
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  await waitFor("a wake", () => wakes > 0 || undefined);
  const before = wakes;
  writeFileSync(join(bench.directory(spec.jobName), "work/go"), "");
  await waitFor("a wake at the end", () => wakes > before || undefined);
  await waitForEnd(bench.launcher, spec.jobName);
  await stop();
  const last = wakes;
  await bench.launcher.launch(launchSpec());
  assert.equal(wakes, last);
});

test("a run of another host is left alone", async (t) => {
  const bench = openBench(t, {});
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  const path = join(bench.directory(spec.jobName), "spec.json");
  const record = readFileSync(path, "utf8");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(record), host: "elsewhere" }));
  assert.deepEqual(await bench.launcher.observe(), []);
  await bench.launcher.remove(spec.jobName);
  assert.ok(statSync(path).isFile());
  writeFileSync(path, record);
  assert.equal(bench.launcher.host, hostname());
});

async function readAll(pieces: AsyncIterable<LogPiece>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece.text;
  return text;
}
