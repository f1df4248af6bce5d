/** The main job on real parts: INSERT by psql → the real CLI → a pushed branch → the result in the row. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { apiError, text, textsOf, toolUse, usageLimit } from "../support/scripted-model.ts";
import type { Answer, ModelRequest } from "../support/scripted-model.ts";
import { CLAUDE_TOKEN, startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";

/** What the agent does is chosen by a word in the prompt. */
function playAgent(request: ModelRequest): Answer {
  const prompt = textsOf(request, "user");
  const step = request.body.messages?.filter((message) => message.role === "assistant").length ?? 0;
  const says = (word: string) => prompt.includes(word);
  if (says("GIVE-UP")) return apiError(400, "It cannot be done.");
  if (says("LIMIT")) return usageLimit(Math.floor(Date.now() / 1000) + 3600);
  if (says("NOTHING")) return text("There is nothing to do.");
  if (says("LEAK")) {
    const commands = [`echo "token: ${CLAUDE_TOKEN}" | tee leak.txt`];
    return step === 0 ? toolUse("Bash", { command: commands[0] }) : text(`I wrote ${CLAUDE_TOKEN} down.`);
  }
  if (says("RUN:")) {
    const command = /RUN:(.*)/.exec(prompt)?.[1] ?? "true";
    return step === 0 ? toolUse("Bash", { command }) : text("Done.");
  }
  if (step === 0)
    return toolUse("Bash", { command: "echo hello > hello.txt && git add hello.txt && git commit -qm 'Say hello'" });
  return text("I wrote hello.txt and committed it.");
}

describe("from an INSERT to a pushed branch", () => {
  let spine: Spine;
  let remote: BareRemote;
  before(async () => {
    remote = bareRemote();
    spine = await startSpine(playAgent);
    spine.startEngine();
  });
  after(async () => {
    await spine.close();
    remote.remove();
  });

  it("a row inserted by psql ends as a commit on the remote, with the result in the row", async (t) => {
    if (spawnSync("psql", ["--version"]).status !== 0)
      return t.skip("psql is not installed (Debian: postgresql-client)");
    const psql = spawnSync(
      "psql",
      [
        spine.test.url("operator"),
        "-XAtq",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        `INSERT INTO tasks (addressee, prompt, repo_url, branch, created_by) VALUES ('worker-1', 'Say hello', '${remote.url}', 'hello', 'me') RETURNING id`,
      ],
      { encoding: "utf8" },
    );
    assert.equal(psql.status, 0, psql.stderr);
    const id = psql.stdout.trim();
    const { result } = await spine.completed(id);
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(result["branch"], "hello");
    assert.equal(result["commit_sha"], remote.git("rev-parse", "refs/heads/hello"));
    assert.equal(result["summary"], "I wrote hello.txt and committed it.");
    assert.deepEqual(result["files_changed"], ["hello.txt"]);
    assert.ok(Number(result["cost_usd"]) > 0 && Number(result["turns"]) >= 2);
    assert.equal(remote.file("hello", "hello.txt"), "hello\n");

    const { rows } = await spine.pool.query("select * from runs where task_id = $1", [id]);
    assert.equal(rows.length, 1);
    assert.deepEqual([rows[0].success, rows[0].branch, rows[0].attempt], [true, "hello", 1]);
    assert.ok(Number(rows[0].input_tokens) > 0 && rows[0].session_id && rows[0].launched_at && rows[0].finished_at);
    assert.match(await spine.transcript(id), /I wrote hello\.txt/);
    const { rows: events } = await spine.pool.query("select event from task_events where task_id = $1 order by id", [
      id,
    ]);
    assert.deepEqual(
      events.map((row) => row.event),
      ["started", "completed"],
    );
  });

  it("a task whose model gives up ends with its code", async () => {
    const { result } = await spine.completed(
      await spine.insert({ addressee: "w2", prompt: "GIVE-UP", repo_url: remote.url }),
    );
    assert.deepEqual([result.success, result["code"]], [false, "agent_error"]);
    assert.match(String(result["error"]), /It cannot be done/);
  });

  it("without a branch the work goes to myzel/<task id>", async () => {
    const id = await spine.insert({ addressee: "w3", prompt: "Say hello", repo_url: remote.url });
    const { result } = await spine.completed(id);
    assert.equal(result["branch"], `myzel/${id}`);
    assert.ok(remote.git("rev-parse", `refs/heads/myzel/${id}`));
  });

  it("without a repository the agent works in an empty directory and the result has no commit", async () => {
    const { result } = await spine.completed(
      await spine.insert({ addressee: "w4", prompt: "RUN:ls -A | wc -l > count.txt" }),
    );
    assert.deepEqual([result.success, result["commit_sha"], result["branch"]], [true, null, null]);
  });

  it("an agent that changes nothing succeeds without a commit", async () => {
    const id = await spine.insert({ addressee: "w5", prompt: "NOTHING", repo_url: remote.url, branch: "nothing" });
    const { result } = await spine.completed(id);
    assert.deepEqual(
      [result.success, result["commit_sha"], result["summary"]],
      [true, null, "There is nothing to do."],
    );
    assert.equal(remote.git("branch", "--list", "nothing"), "");
  });

  it("a repository that does not exist ends as checkout_failed, with a sentence", async () => {
    const id = await spine.insert({ addressee: "w6", prompt: "Say hello", repo_url: "file:///nowhere/x.git" });
    const { result } = await spine.completed(id);
    assert.equal(result["code"], "checkout_failed");
    assert.match(String(result["error"]), /\w+ .*\./);
  });

  it("the default branch is refused", async () => {
    const id = await spine.insert({ addressee: "w7", prompt: "Say hello", repo_url: remote.url, branch: "main" });
    const { result } = await spine.completed(id);
    assert.equal(result["code"], "checkout_failed");
    assert.match(String(result["error"]), /default branch/);
  });

  it("a secret that the agent prints and commits reaches neither the database, nor the log, nor the remote", async () => {
    const id = await spine.insert({ addressee: "w8", prompt: "LEAK", repo_url: remote.url, branch: "leak" });
    const { result } = await spine.completed(id);
    assert.equal(result["code"], "secret_leaked", JSON.stringify(result));
    assert.equal(remote.git("branch", "--list", "leak"), "");
    assert.ok(!(await spine.transcript(id)).includes(CLAUDE_TOKEN));
    const { rows } = await spine.pool.query(
      "select (select string_agg(t::text, '') from tasks t where id = $1) || (select string_agg(r::text, '') from runs r where task_id = $1) as all",
      [id],
    );
    assert.ok(!rows[0].all.includes(CLAUDE_TOKEN));
  });

  it("what the agent left uncommitted is committed and pushed", async () => {
    const id = await spine.insert({
      addressee: "w9",
      prompt: "RUN:echo left > left.txt",
      repo_url: remote.url,
      branch: "left",
    });
    const { result } = await spine.completed(id);
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(remote.file("left", "left.txt"), "left\n");
  });

  it("work on a branch that exists goes on there", async () => {
    remote.commit("ongoing", { "a.txt": "a" });
    const id = await spine.insert({ addressee: "w10", prompt: "Say hello", repo_url: remote.url, branch: "ongoing" });
    await spine.completed(id);
    assert.equal(remote.file("ongoing", "a.txt"), "a");
    assert.equal(remote.file("ongoing", "hello.txt"), "hello\n");
  });

  it("a branch that moved meanwhile is not overwritten", async () => {
    const first = remote.commit("moved", { "a.txt": "a" });
    const moved = join(dirname(remote.path), "moved");
    const id = await spine.insert({
      addressee: "w11",
      prompt: `RUN:until test -e ${moved}; do sleep 0.1; done; echo mine > a.txt`,
      repo_url: remote.url,
      branch: "moved",
    });
    await eventually(
      "the agent works",
      () => spine.model.requests.some((request) => textsOf(request, "user").includes("echo mine")),
      300_000,
    );
    const second = remote.commit("moved", { "a.txt": "theirs" });
    assert.notEqual(first, second);
    writeFileSync(moved, "");
    const { result } = await spine.completed(id);
    assert.equal(result["code"], "push_rejected");
    assert.equal(remote.git("rev-parse", "refs/heads/moved"), second);
  });

  it("a usage limit puts the task back, blocks the credential and repeats nothing", async () => {
    const id = await spine.insert({ addressee: "w12", prompt: "LIMIT" });
    const blocked = await eventually(
      "the credential is blocked",
      async () => (await spine.pool.query("select blocked_until from credentials where blocked_until > now()")).rows[0],
      300_000,
    );
    assert.ok(blocked.blocked_until.getTime() > Date.now() + 3_000_000);
    const why = await spine.pool.query("select * from why_not_running($1)", [id]);
    assert.equal(why.rows[0].reason, "credential");
    const asked = spine.model.requests.filter((request) => textsOf(request, "user").includes("LIMIT")).length;
    assert.equal(asked, 1);
    await spine.pool.query("delete from tasks where id = $1", [id]);
    await spine.pool.query("update credentials set blocked_until = null");
  });
});

describe("without a Claude credential", () => {
  it("the task waits, and why says what to set", async () => {
    const spine = await startSpine(playAgent, { claudeToken: null });
    try {
      spine.startEngine();
      const id = await spine.insert({ addressee: "w", prompt: "p" });
      const why = await eventually("why names the credential", async () => {
        const { rows } = await spine.pool.query("select * from why_not_running($1)", [id]);
        return rows[0]?.reason === "credential" ? rows[0] : null;
      });
      assert.match(why.explanation, /CLAUDE_CODE_OAUTH_TOKEN|myzel login/);
    } finally {
      await spine.close();
    }
  });
});
