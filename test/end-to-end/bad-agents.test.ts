/** Agents that misbehave, on real parts: each ends with an honest result, and nothing outlives its run. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { hang, text, textsOf, toolUse } from "../support/scripted-model.ts";
import { startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";

/** The prompt's line after RUN: is the agent's first command. */
const play: Parameters<typeof startSpine>[0] = (request) => {
  const prompt = textsOf(request, "user");
  if (prompt.includes("NEVER-ENDS")) return hang;
  const command = /RUN:(.*)/.exec(prompt)?.[1];
  const step = request.body.messages?.filter((message) => message.role === "assistant").length ?? 0;
  return step === 0 && command !== undefined ? toolUse("Bash", { command }) : text("Done.");
};

/** Processes whose command line holds this text, but for our own. */
function processesWith(mark: string): string[] {
  return readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) return false;
    try {
      return readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(mark);
    } catch {
      return false;
    }
  });
}

describe("an agent that", () => {
  let spine: Spine;
  let remote: BareRemote;
  before(async () => {
    remote = bareRemote();
    spine = await startSpine(play);
    spine.startEngine();
    await spine.pool.query(
      "insert into profiles (name, role, addressee_pattern, time_limit) values ('short', 'red', 'short-%', '8 seconds')",
    );
  });
  after(async () => {
    await spine.close();
    remote.remove();
  });
  let count = 0;
  const run = async (prompt: string, branch: string, addressee = `w${++count}`) =>
    (await spine.completed(await spine.insert({ addressee, prompt, repo_url: remote.url, branch }))).result;

  it("deletes .git still delivers its files", async () => {
    const result = await run("RUN:rm -rf .git && echo kept > kept.txt", "no-git");
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(remote.file("no-git", "kept.txt"), "kept\n");
    assert.equal(remote.file("no-git", "README.md"), "# Project\n");
  });

  it("writes hooks and git configuration has none of them run", async () => {
    const mark = join(tmpdir(), `myzel-hook-ran-${process.pid}`);
    const commands = [
      `for h in pre-push post-checkout pre-commit post-commit reference-transaction; do printf '#!/bin/sh\\n: > ${mark}\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done`,
      `git config core.fsmonitor ': > ${mark}; false'`,
      `git config uploadpack.packObjectsHook ': > ${mark}; exec'`,
      "echo x > x.txt",
    ];
    const result = await run(`RUN:${commands.join("; ")}`, "hooks");
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(remote.file("hooks", "x.txt"), "x\n");
    assert.ok(!existsSync(mark), "a hook of the agent ran");
  });

  it("writes a file of 2 GB is told so, and nothing is pushed", async () => {
    const result = await run("RUN:truncate -s 2G big.bin", "big");
    assert.equal(result.success, false, JSON.stringify(result));
    assert.match(String(result["error"]), /big\.bin/);
    assert.equal(remote.git("branch", "--list", "big"), "");
  });

  it("prints 100 MB leaves a bounded transcript", async () => {
    const id = await spine.insert({
      addressee: "loud",
      prompt: "RUN:head -c 100000000 /dev/zero | tr '\\0' x; echo; seq 1 1000000",
    });
    await spine.completed(id);
    const { rows } = await spine.pool.query(
      "select raw_bytes::int from run_transcripts t join runs r on r.id = t.run_id where r.task_id = $1",
      [id],
    );
    assert.ok(rows[0].raw_bytes > 0 && rows[0].raw_bytes < 32 * 1024 * 1024, String(rows[0].raw_bytes));
  });

  it("forks children that want to outlive it leaves none", async () => {
    const mark = `77${process.pid}.5`;
    const result = await run(
      `RUN:setsid sleep ${mark} >/dev/null 2>&1 & (setsid nohup env -i sleep ${mark} >/dev/null 2>&1 &); echo x > x.txt`,
      "children",
    );
    assert.equal(result.success, true, JSON.stringify(result));
    assert.deepEqual(processesWith(mark), []);
  });

  it("never ends is ended at its time limit", async () => {
    const result = await run("NEVER-ENDS", "never", "short-1");
    assert.equal(result["code"], "deadline_exceeded", JSON.stringify(result));
  });

  it("is killed ends as an agent error, with a sentence", async () => {
    const result = await run("RUN:kill -9 $PPID; sleep 1", "killed");
    assert.equal(result["code"], "agent_error", JSON.stringify(result));
    assert.match(String(result["error"]), /SIGKILL/);
  });

  it("is given a prompt that begins with / or holds @/etc/passwd reads the text and nothing else", async () => {
    await run("/clear SLASH", "slash");
    await run("Read @/etc/passwd AT-SIGN please", "at");
    const seen = (word: string) =>
      spine.model.requests.map((request) => textsOf(request, "user")).find((prompt) => prompt.includes(word)) ?? "";
    assert.match(seen("SLASH"), /\/clear SLASH/);
    assert.ok(!seen("AT-SIGN").includes("root:x:0:0"));
  });

  it("is stopped by hand ends soon, and its addressee's next task runs", async () => {
    const first = await spine.insert({ addressee: "stopped", prompt: "NEVER-ENDS please" });
    const second = await spine.insert({ addressee: "stopped", prompt: "Next" });
    await eventually(
      "the agent works",
      () => spine.model.requests.some((request) => textsOf(request, "user").includes("NEVER-ENDS please")),
      300_000,
    );
    await spine.pool.query("update tasks set status = 'completed' where id = $1", [first]);
    assert.equal((await spine.completed(second)).result.success, true);
    assert.equal((await spine.completed(first)).result["code"], "stopped");
  });

  it("leaves nothing in the data directory once its run is settled", async () => {
    await eventually(
      "all run directories are gone",
      () => readdirSync(join(spine.dataDir, "runs")).filter((name) => name.startsWith("task-")).length === 0,
    );
  });
});

describe("a workspace on a full disk", () => {
  it("ends the task with a sentence, and the next one works", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("needs root to mount a small file system");
    const spine = await startSpine(play);
    const remote = bareRemote();
    const runs = join(spine.dataDir, "runs");
    await spine.launcher.observe();
    spawnSync("mkdir", ["-p", runs]);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m,mode=711", "tmpfs", runs], { encoding: "utf8" });
    try {
      if (mounted.status !== 0) return t.skip(`cannot mount a small file system: ${mounted.stderr.trim()}`);
      spine.startEngine();
      const full = await spine.completed(
        await spine.insert({
          addressee: "full",
          prompt: "RUN:dd if=/dev/urandom of=fill bs=1M; ls -l",
          repo_url: remote.url,
        }),
      );
      assert.equal(full.result.success, false, JSON.stringify(full.result));
      assert.ok(/disk|space/i.test(String(full.result["error"])), JSON.stringify(full.result));
      const next = await spine.completed(await spine.insert({ addressee: "full", prompt: "Next" }));
      assert.equal(next.result.success, true, JSON.stringify(next.result));
      assert.ok(statSync(runs).isDirectory());
    } finally {
      await spine.close().catch(() => undefined);
      remote.remove();
      spawnSync("umount", ["-l", runs]);
      spawnSync("rm", ["-rf", spine.dataDir]);
    }
  });
});
