/** What runs execute and which login they get: found, made reachable, or missed with a sentence. */
import assert from "node:assert/strict";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { findClaude } from "../../engine/launch/process/claude-cli.ts";
import { readJson, type RunRecord } from "../../engine/launch/process/run-directory.ts";
import { launchSpec, needsRoot, openBench, openLauncher, temporaryDirectory, waitForEnd } from "./process-support.ts";

test(
  "a worker image that only its owner can reach runs from a copy, with the packages it needs",
  { skip: needsRoot },
  async (t) => {
    const source =
      openBench(t, { checkout: 'import { word } from "direct"; note("word", word + " " + import.meta.dirname);' })
        .settings.workerImageDir ?? "";
    const image = movedBelow(temporaryDirectory(t, 0o700), source);
    const packages = join(dirname(image), "node_modules");
    makePackage(packages, "direct", 'export { word } from "indirect";', { indirect: "1" });
    makePackage(packages, "indirect", 'export const word = "found";', {});
    makePackage(packages, "unneeded", "", {});
    writeFileSync(join(image, "package.json"), '{"type":"module","dependencies":{"direct":"1"}}');

    const bench = openBench(t, {}, { workerImageDir: image });
    const notes = join(dirname(source), "notes");
    const specs = [launchSpec(), launchSpec()];
    for (const spec of specs) {
      await bench.launcher.launch(spec);
      const end = await waitForEnd(bench.launcher, spec.jobName);
      assert.deepEqual(
        end.phases.map(({ exitCode }) => exitCode),
        [0, 0, 0],
        end.logTail ?? "",
      );
    }
    const kits = readdirSync(join(bench.dataDir, "worker"));
    assert.equal(kits.length, 1);
    const kit = join(bench.dataDir, "worker", kits[0] ?? "");
    assert.equal(readFileSync(join(notes, "word"), "utf8"), `found ${kit}/worker-image/phases`);
    assert.deepEqual(readdirSync(join(kit, "node_modules")).toSorted(), ["direct", "indirect"]);

    // A run that still has its directory keeps its kit, and so does one that was used lately.
    const longAgo = new Date(Date.now() - 86_400_000);
    utimesSync(kit, longAgo, longAgo);
    await openLauncher(t, bench.settings).close();
    assert.ok(existsSync(kit));
    for (const { jobName } of specs) await bench.launcher.remove(jobName);
    await openLauncher(t, bench.settings).close();
    assert.equal(existsSync(kit), false);
  },
);

test("what every user can reach is used where it lies", { skip: needsRoot }, async (t) => {
  const bench = openBench(t, {});
  const spec = launchSpec();
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  const record = readJson<RunRecord>(join(bench.directory(spec.jobName), "spec.json"));
  assert.equal(record?.workerImage, bench.settings.workerImageDir);
});

test(
  "a claude below a private directory is linked or copied, following links to the real file",
  { skip: needsRoot },
  async (t) => {
    const directory = temporaryDirectory(t, 0o700);
    const { path } = makeClaude(directory, "9.9.9");
    mkdirSync(join(directory, "bin"));
    symlinkSync(path, join(directory, "bin/claude"));
    const bench = openBench(
      t,
      { agent: 'note("version", cp.execFileSync(process.env.MYZEL_CLAUDE_PATH!, ["--version"]));' },
      { environment: { ...process.env, PATH: `${join(directory, "bin")}${delimiter}${process.env["PATH"]}` } },
    );
    const spec = launchSpec();
    await bench.launcher.launch(spec);
    await waitForEnd(bench.launcher, spec.jobName);
    assert.match(bench.note("version"), /^9\.9\.9/);
  },
);

test(
  "a claude that only wraps one which runs cannot reach is refused with a sentence",
  { skip: needsRoot },
  async (t) => {
    const directory = temporaryDirectory(t, 0o700);
    const { path } = makeClaude(directory, "9.9.9");
    const wrapper = temporaryDirectory(t);
    writeFileSync(join(wrapper, "claude"), `#!/bin/sh\nexec ${path} "$@"\n`, { mode: 0o755 });
    const bench = openBench(
      t,
      {},
      { environment: { ...process.env, PATH: `${wrapper}${delimiter}${process.env["PATH"]}` } },
    );
    await assert.rejects(bench.launcher.launch(launchSpec()), /does not run for the unprivileged users/);
  },
);

test(
  "a data directory that runs cannot reach is refused with a sentence that names the setting",
  { skip: needsRoot },
  async (t) => {
    const bench = openBench(t, {}, { dataDir: join(temporaryDirectory(t, 0o700), "data") });
    await assert.rejects(bench.launcher.launch(launchSpec()), /MYZEL_DATA_DIR/);
  },
);

test("claude is the one on the PATH, and its version is compared with those that were tested", async (t) => {
  const { path, directory } = makeClaude(temporaryDirectory(t), "1.2.3");
  const environment = { PATH: `relative${delimiter}${directory}${delimiter}/usr/bin${delimiter}/bin`, HOME: directory };
  assert.deepEqual(await findClaude(environment), { path, source: "path", version: "1.2.3", tested: false });
});

test("the claude that npm puts on the PATH is the bundled one, and says so", async () => {
  const ours = join(import.meta.dirname, "../../node_modules/.bin");
  const found = await findClaude({ PATH: `${ours}${delimiter}/usr/bin${delimiter}/bin`, HOME: "/nonexistent" });
  if (found === null) return assert.ok(!existsSync(join(ours, "claude")), "installed and not found");
  assert.equal(found.source, "bundled");
  assert.deepEqual([found.version, found.tested], ["2.1.329", true]);
  assert.ok(statSync(found.path).size > 1_000_000, "the native binary, which needs no install script");
});

test("each way to name a credential works or says what to set", async (t) => {
  const bench = openBench(
    t,
    {},
    { claudeToken: undefined, environment: { ...process.env, TOKEN_HERE: "x".repeat(40) } },
  );
  const base = launchSpec().credential;
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "token"), "y".repeat(40));
  writeFileSync(join(directory, "empty"), "\n");
  const problem = (changes: Partial<typeof base>) =>
    bench.launcher.credentialProblem({ ...base, name: "team", ...changes });

  assert.match((await problem({})) ?? "", /names no source: set its env_var or file_path/);
  assert.match((await problem({ env_var: "TOKEN_AWAY" })) ?? "", /TOKEN_AWAY, which is not set/);
  assert.equal(await problem({ env_var: "TOKEN_HERE" }), null);
  assert.match((await problem({ file_path: join(directory, "away") })) ?? "", /is not there/);
  assert.match((await problem({ file_path: join(directory, "empty") })) ?? "", /holds no token/);
  assert.match((await problem({ file_path: directory })) ?? "", /holds no login/);
  assert.equal(await problem({ file_path: join(directory, "token") }), null);
  assert.match((await problem({ secret_name: "s", secret_key: "k" })) ?? "", /Kubernetes Secret/);

  assert.match(
    (await bench.launcher.credentialProblem(base)) ?? "",
    /claude setup-token.*myzel login.*CLAUDE_CODE_OAUTH_TOKEN/,
  );
  await assert.rejects(bench.launcher.launch(launchSpec()), /myzel login/);
  mkdirSync(bench.dataDir, { recursive: true });
  writeFileSync(join(bench.dataDir, "claude-token"), `${"z".repeat(40)}\n`, { mode: 0o600 });
  assert.equal(await bench.launcher.credentialProblem(base), null);
});

function makePackage(root: string, name: string, code: string, dependencies: Record<string, string>): void {
  mkdirSync(join(root, name), { recursive: true });
  writeFileSync(
    join(root, name, "package.json"),
    JSON.stringify({ name, version: "1.0.0", type: "module", main: "index.js", dependencies }),
  );
  writeFileSync(join(root, name, "index.js"), code);
}

/** A stand-in that only knows its version. */
function makeClaude(root: string, version: string): { path: string; directory: string } {
  const directory = join(root, "real");
  mkdirSync(directory);
  writeFileSync(join(directory, "claude"), `#!/bin/sh\necho "${version} (Claude Code)"\n`, { mode: 0o755 });
  chmodSync(join(directory, "claude"), 0o755);
  return { path: join(directory, "claude"), directory };
}

function movedBelow(directory: string, image: string): string {
  cpSync(image, join(directory, "worker-image"), { recursive: true });
  return join(directory, "worker-image");
}
