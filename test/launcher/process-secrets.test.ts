/** The secrets of a profile on the process launcher: from where they come, whom they reach, what is refused. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { LaunchError, type ProfileSecrets } from "../../engine/launch/launcher.ts";
import { launchSpec, openBench, temporaryDirectory, waitForEnd, waitForNote } from "./process-support.ts";

const NPM = "npm_secret_of_the_engine_0123";
const KEY = "-----BEGIN KEY-----\nabc/def+0123456789\n-----END KEY-----";

const TELL =
  'note(process.env.MYZEL_PHASE!, JSON.stringify(Object.entries(process.env).filter(([name]) => name.includes("TOKEN") || name.includes("KEY"))));';

/** Until the test says so. */
const WAIT = 'while (!fs.existsSync(join(notes, "go-on"))) await new Promise((resolve) => setTimeout(resolve, 20));';

test("they reach agent and publish as variables, no command line and no file, and the log masks them", async (t) => {
  const file = join(temporaryDirectory(t), "key");
  writeFileSync(file, `${KEY}\n`, { mode: 0o600 });
  const bench = openBench(
    t,
    {
      checkout: TELL,
      agent: `${TELL} console.log("it is " + process.env.MYZEL_SECRET_NPM_TOKEN); ${WAIT}`,
      publish: TELL,
    },
    { environment: { ...process.env, NPM: NPM } },
  );
  const spec = launchSpec({
    profile: "red",
    secrets: { NPM_TOKEN: { env_var: "NPM" }, DEPLOY_KEY: { file_path: file } },
  });
  await bench.launcher.launch(spec);
  await waitForNote(bench, "agent");
  const found = filesBelow(bench.dataDir).filter((path) => /npm_secret|BEGIN KEY/.test(readFileSync(path, "latin1")));
  assert.deepEqual(found, []);
  assert.ok(!commandLines().some((line) => line.includes(NPM)));
  writeFileSync(join(bench.notes, "go-on"), "");
  await waitForEnd(bench.launcher, spec.jobName);
  const seen = (phase: string) => new Map(JSON.parse(bench.note(phase)) as [string, string][]);
  for (const phase of ["agent", "publish"]) {
    assert.equal(seen(phase).get("MYZEL_SECRET_NPM_TOKEN"), NPM);
    assert.equal(seen(phase).get("MYZEL_SECRET_DEPLOY_KEY"), KEY);
    assert.ok(!seen(phase).has("NPM_TOKEN"));
  }
  assert.deepEqual(
    [...seen("checkout").keys()].filter((name) => /NPM|DEPLOY/.test(name)),
    [],
  );
  let log = "";
  for await (const { text } of bench.launcher.logs(spec.jobName, { follow: false })) log += text;
  assert.match(log, /it is \[masked\]/);
  assert.ok(!log.includes(NPM));
});

test("what cannot be used is refused with a sentence that names the variable; nothing is started", async (t) => {
  const directory = temporaryDirectory(t);
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const bench = openBench(t, { checkout: 'note("started", "x");' }, { environment: { ...process.env, EMPTY: "" } });
  mkdirSync(bench.dataDir, { recursive: true });
  writeFileSync(join(bench.dataDir, "run-key"), "key of the engine");
  symlinkSync(join(bench.dataDir, "run-key"), join(directory, "link"));
  const cases: [source: ProfileSecrets[string], code: string, sentence: RegExp][] = [
    [
      { secret_name: "npm", secret_key: "token" },
      "pod_refused",
      /lies in a Kubernetes Secret, .* set its env_var or file_path/,
    ],
    [{ env_var: "MISSING_HERE" }, "launch_failed", /variable MISSING_HERE, which is not set: start the engine with it/],
    [{ env_var: "EMPTY" }, "launch_failed", /variable EMPTY, which is not set/],
    [{ file_path: join(directory, "missing") }, "launch_failed", /is not there, empty or not readable/],
    [{ file_path: directory }, "launch_failed", /is not there, empty or not readable/],
    [{ file_path: file("empty", "\n") }, "launch_failed", /is not there, empty or not readable/],
    [{ file_path: file("zero", Buffer.from("a\0b")) }, "pod_refused", /holds a zero byte/],
    [{ file_path: file("large", "x".repeat(65_537)) }, "pod_refused", /has more than 64 KiB/],
    [{ file_path: join(bench.dataDir, "run-key") }, "pod_refused", /may not lie in the engine's data directory/],
    [{ file_path: join(directory, "link") }, "pod_refused", /may not lie in the engine's data directory/],
  ];
  for (const [source, code, sentence] of cases) {
    const spec = launchSpec({ profile: "red", secrets: { NPM_TOKEN: source } });
    await assert.rejects(bench.launcher.launch(spec), (error) => {
      assert.ok(error instanceof LaunchError);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, /^The secret NPM_TOKEN of the profile "red" /);
      assert.match(error.message, sentence);
      return true;
    });
    assert.ok(!existsSync(bench.directory(spec.jobName)));
  }
  assert.ok(!existsSync(join(bench.notes, "started")));
});

function filesBelow(directory: string): string[] {
  const paths = readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) => join(directory, name));
  return paths.filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

function commandLines(): string[] {
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return ids.map((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, "utf8");
    } catch {
      return "";
    }
  });
}
