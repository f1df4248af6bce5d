/** A run that says too much, and one that fills the disk. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { openRunLog } from "../../engine/launch/process/run-log.ts";
import { launchSpec, needsRoot, openBench, temporaryDirectory, waitForEnd } from "./process-support.ts";

test("a log keeps its beginning and its end, masked also where a secret lies across chunks", async (t) => {
  const path = join(temporaryDirectory(t), "log");
  const log = openRunLog(path, ["a-secret-value"], 200);
  await log.copy(Readable.from([Buffer.from("first a-sec"), Buffer.from("ret-value second\n")]));
  for (let line = 0; line < 10_000; line++) log.note(`line ${line}`);
  log.close();
  const text = readFileSync(path, "utf8");
  assert.ok(text.startsWith("first [masked] second\n[myzel] line 0\n"));
  assert.match(text, /The log is full/);
  assert.ok(text.endsWith("line 9999\n"));
  assert.ok(text.length < 70_000);
  assert.ok(log.tail(20).endsWith("line 9999\n"));
});

test("a run that fills the disk still gets its end written", { skip: needsRoot }, async (t) => {
  const dataDir = temporaryDirectory(t);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", dataDir]).status !== 0) {
    return t.skip("no file system can be mounted here");
  }
  try {
    const bench = openBench(
      t,
      {
        agent:
          'const big = fs.openSync("big", "w"); try { for (;;) fs.writeSync(big, Buffer.alloc(4096)); } catch (error) { console.log((error as Error).message); process.exit(9); }',
      },
      { dataDir },
    );
    const spec = launchSpec();
    await bench.launcher.launch(spec);
    const end = await waitForEnd(bench.launcher, spec.jobName);
    assert.deepEqual([end.gone, end.phases.at(-1)?.phase, end.phases.at(-1)?.exitCode], [null, "agent", 9]);
    assert.match(end.logTail ?? "", /no space left/);
    await bench.launcher.remove(spec.jobName);
    assert.deepEqual(readdirSync(join(dataDir, "runs")), []);
  } finally {
    spawnSync("umount", ["--lazy", dataDir]);
  }
});
