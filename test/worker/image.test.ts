import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const ENTRYPOINT = join(ROOT, "worker-image/entrypoint.sh");

test("the image pins the Claude Code that development is tested with", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const dockerfile = readFileSync(join(ROOT, "worker-image/Dockerfile"), "utf8");
  assert.ok(dockerfile.includes(`@anthropic-ai/claude-code@${devDependencies["@anthropic-ai/claude-code"]}\n`.trim()));
});

test("the entrypoint starts the phase that is named, and says how to call it otherwise", () => {
  const environment = { PATH: process.env["PATH"] };
  for (const phase of ["checkout", "agent", "publish"]) {
    const run = spawnSync(ENTRYPOINT, [phase], { env: environment, encoding: "utf8", cwd: "/" });
    assert.equal(run.status, 2);
    assert.match(run.stderr, /MYZEL_WORKSPACE/, phase);
  }
  for (const args of [[], ["other"]]) {
    const run = spawnSync(ENTRYPOINT, args, { env: environment, encoding: "utf8" });
    assert.equal(run.status, 2);
    assert.match(run.stderr, /^usage: entrypoint.sh checkout\|agent\|publish/);
  }
});

test("the entrypoint lets nothing leave its memory in a core file", () => {
  const directory = mkdtempSync(join(tmpdir(), "myzel-entrypoint-"));
  try {
    mkdirSync(join(directory, "worker-image"));
    mkdirSync(join(directory, "bin"));
    cpSync(ENTRYPOINT, join(directory, "worker-image/entrypoint.sh"));
    writeFileSync(join(directory, "bin/node"), "#!/bin/sh\nulimit -c\n", { mode: 0o755 });
    const entry = join(directory, "worker-image/entrypoint.sh");
    const run = spawnSync("prlimit", ["--core=unlimited:", entry, "publish"], { encoding: "utf8" });
    assert.equal(run.stdout, "0\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});
