import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
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
