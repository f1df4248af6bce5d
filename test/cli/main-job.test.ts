/** The main job by the command line alone: `up`, `enqueue --wait` in a checkout, `logs -f`, `show`, Ctrl-C. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { startScriptedModel, text, toolUse } from "../support/scripted-model.ts";
import type { ScriptedModel } from "../support/scripted-model.ts";
import { CLAUDE_TOKEN } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";
import { myzel, startMyzel } from "./run-myzel.ts";
import type { Running } from "./run-myzel.ts";

describe("the main job by the command line", () => {
  let dataDir: string;
  let checkout: string;
  let remote: BareRemote;
  let model: ScriptedModel;
  let up: Running;
  let env: Record<string, string>;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "myzel-job-"));
    await chmod(dataDir, 0o711);
    checkout = join(dataDir, "checkout");
    remote = bareRemote();
    execFileSync("git", ["clone", "--quiet", remote.url, checkout]);
    model = await startScriptedModel((request) => {
      const step = request.body.messages?.filter((message) => message.role === "assistant").length ?? 0;
      const command = "echo hello > hello.txt && git add hello.txt && git commit -qm 'Say hello'";
      return step === 0 ? toolUse("Bash", { command }) : text("I wrote hello.txt.");
    });
    env = { MYZEL_DATA_DIR: dataDir, PATH: process.env["PATH"] ?? "" };
    up = startMyzel(["up", "--launcher", "process"], {
      env: { ...env, MYZEL_MODEL_BASE_URL: model.url, CLAUDE_CODE_OAUTH_TOKEN: CLAUDE_TOKEN },
      deadlineMs: 480_000,
    });
    await eventually("it is up", () => up.output.stdout.includes("Myzel is up"), 180_000);
  });
  after(async () => {
    up.child.kill("SIGINT");
    await up.ended;
    await model.close();
    remote.remove();
    await rm(dataDir, { recursive: true, force: true });
  });

  it("enqueue --wait in a checkout ends with the pushed branch, and logs -f shows what the agent does meanwhile", async () => {
    const waiting = startMyzel(["enqueue", "--wait", "Say hello"], { env, cwd: checkout, deadlineMs: 300_000 });
    const id = await eventually("it is filed", () => /Task ([0-9a-f-]{36}) is filed/.exec(waiting.output.stdout)?.[1]);
    const following = startMyzel(["logs", "-f", id.slice(0, 8)], { env, deadlineMs: 300_000 });
    const [waited, followed] = await Promise.all([waiting.ended, following.ended]);
    assert.equal(waited.code, 0, `${waited.stdout}${waited.stderr}\n${up.output.stderr}`);
    assert.match(waited.stdout, new RegExp(`branch +myzel/${id}`));
    assert.match(waited.stdout, /summary +I wrote hello\.txt\./);
    assert.equal(followed.code, 0, followed.stderr);
    assert.match(followed.stdout, /git commit/);

    const task = JSON.parse((await myzel(["show", "@last", "--json"], { env })).stdout);
    const pushed = execFileSync("git", ["ls-remote", remote.url, `refs/heads/myzel/${id}`], { encoding: "utf8" });
    assert.equal(pushed.split("\t")[0], task.result.commit_sha);
    assert.equal(task.runs[0].commit_sha, task.result.commit_sha);
    assert.match((await myzel(["show", "@last"], { env })).stdout, /Transcript of attempt 1[^]*git commit/);
  });
});
