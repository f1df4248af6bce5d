/** Compiled code of the programs of runs: made once by the engine, read by each run, written by none. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { compiledCode } from "../../engine/launch/process/compiled-code.ts";
import { needsRoot, temporaryDirectory, waitFor } from "./process-support.ts";

const ROOT = join(import.meta.dirname, "../..");
const UID = 1_800_000_777;
const run = {
  node: process.execPath,
  workerImage: join(ROOT, "worker-image"),
  relayClient: join(ROOT, "engine/launch/process/relay-client.ts"),
  uid: UID,
};
const common = { podDatabaseUrl: "", runUidBase: UID, environment: {} };

test(
  "every program of a run finds its code, as the run's user, who cannot change it",
  { skip: needsRoot },
  async (t) => {
    const dataDir = temporaryDirectory(t, 0o711);
    const log = pino({ level: process.env["MYZEL_TEST_LOG"] ?? "silent" });
    const compiled = compiledCode({ ...common, dataDir, log });
    t.after(() => compiled.close());
    const directory = join(dataDir, "run");
    mkdirSync(directory, { mode: 0o711 });
    const give = () => compiled.giveTo(run, { fresh: directory, directory });
    assert.equal(give(), null, "nothing is waited for");
    const given = await waitFor("the code is made", () => give() ?? undefined);

    const asRun = (words: string[]) =>
      spawnSync(run.node, words, {
        ...{ uid: UID, gid: UID, cwd: "/", encoding: "utf8" as const },
        env: { NODE_COMPILE_CACHE: given, NODE_DEBUG_NATIVE: "COMPILE_CACHE" },
      });
    const programs = ["phases/checkout.ts", "phases/agent.ts", "phases/publish.ts", "mcp/server.ts"];
    for (const words of [
      ...programs.map((name) => [join(run.workerImage, name)]),
      [run.relayClient, "nowhere", "-G"],
    ]) {
      const { stdout, stderr } = asRun(words);
      const read = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("reading cache from"));
      assert.ok(read.length >= 2, `${words[0]} reads the code of its own`);
      // Of the packages a few modules are compiled when they are first called.
      const missed = read.filter((line) => !line.includes("success") && !line.includes("node_modules"));
      assert.deepEqual(missed, []);
    }
    const write = asRun(["--eval", `require("fs").writeFileSync(require("module").getCompileCacheDir() + "/x", "")`]);
    assert.match(write.stderr, /EACCES/);
    assert.equal(statSync(dirname(given)).uid, 0);
  },
);

test("when it is closed nothing writes any more", { skip: needsRoot }, async (t) => {
  const dataDir = temporaryDirectory(t, 0o711);
  const makers = () =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(`NODE_COMPILE_CACHE=${dataDir}`))
      .toString();
  for (let round = 0; round < 5; round++) {
    const compiled = compiledCode({ ...common, dataDir, log: pino({ level: "silent" }) });
    compiled.giveTo(run, { fresh: dataDir, directory: dataDir });
    await waitFor("a maker is as slow as it can be", () => stopped(makers()) || undefined);
    await compiled.close();
    assert.equal(makers(), "");
  }
});

/** Whether that process stands still from now on; false where it has ended meanwhile. */
function stopped(pid: string): boolean {
  try {
    return pid !== "" && process.kill(Number(pid), "SIGSTOP");
  } catch {
    return false;
  }
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return ""; // it has ended
  }
}

test("runs with the engine's own user keep it beside the supervisors'", (t) => {
  const dataDir = temporaryDirectory(t);
  const compiled = compiledCode({ ...common, dataDir, log: pino({ level: "silent" }) });
  const where = { fresh: dataDir, directory: dataDir };
  assert.equal(compiled.giveTo({ ...run, uid: null }, where), join(dataDir, "compiled"));
});
