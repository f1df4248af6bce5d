/** `stop`, `retry`, `why`, `pause`, `resume`, `--wait`: steering and waiting. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";
import { eventually } from "../support/waiting.ts";
import { myzel, startMyzel, temporaryDirectory } from "./run-myzel.ts";

describe("steering from the command line", () => {
  let db: SchemaClient;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let env: Record<string, string>;
  let task: string;
  before(async () => {
    db = await schemaClient();
    directory = await temporaryDirectory();
    env = { DATABASE_URL: db.test.url("operator"), MYZEL_DATA_DIR: directory.path };
  });
  after(async () => {
    await db.close();
    await directory.remove();
  });
  beforeEach(async () => {
    await db.pool.query("delete from tasks");
    await db.pool.query("delete from runs");
    await db.pool.query("delete from addressees");
    task = await db.insert({ addressee: "a", prompt: "p" });
  });

  const run = async (...args: string[]) => {
    const ran = await myzel(args, { env });
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout;
  };
  const prompt = async () => (await db.pool.query("select prompt from tasks where id = $1", [task])).rows[0].prompt;
  const enginePaused = async () => (await db.pool.query("select paused from engine_state")).rows[0].paused;

  it("stop cancels a pending task, stops a running one, leaves a completed one alone, and says how to undo it", async () => {
    assert.match(await run("stop", task, "--reason", "not now"), /is cancelled and will not run\. .*myzel retry/);
    const { rows } = await db.pool.query("select result from tasks where id = $1", [task]);
    assert.equal(rows[0].result.error, "not now");
    assert.match(await run("stop", task), /had ended already; nothing was changed/);
    await run("retry", task);
    await db.claimAll();
    assert.match(await run("stop", task), /is being stopped\. .*myzel retry/);
    assert.equal(JSON.parse(await run("stop", task, "--json")).status, "completed");
  });

  it("retry makes a task pending again; --note adds to its prompt; a note for a live run is refused", async () => {
    await run("stop", task);
    assert.match(await run("retry", task, "--note", "Mind the gap."), /is pending again\. .*myzel stop/);
    assert.equal(await prompt(), "p\n\nMind the gap.");
    assert.equal(await db.status(task), "pending");
    await db.claimAll();
    const refused = await myzel(["retry", task, "--note", "x"], { env });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /live run/);
  });

  it("why gives the sentence, and with --json the code too", async () => {
    await db.claimAll();
    const second = await db.insert({ addressee: "a", prompt: "q" });
    assert.match(await run("why", second), /The only slot of "a" is taken|tasks? of "a"/);
    const why = JSON.parse(await run("why", second, "--json"));
    assert.deepEqual(Object.keys(why), ["id", "reason", "explanation"]);
    assert.equal(why.id, second);
  });

  it("pause and resume hold and free one addressee or the engine, and say how to undo it", async () => {
    assert.match(await run("pause", "a"), /Nothing for "a" starts any more.*myzel resume a/);
    assert.equal(await db.claimAll(), 0);
    assert.match(await run("resume", "a"), /start again/);
    assert.equal(await db.claimAll(), 1);
    assert.match(await run("pause"), /Nothing starts any more.*myzel resume/);
    assert.equal(await enginePaused(), true);
    assert.deepEqual(JSON.parse(await run("resume", "--json")), { addressee: null, paused: false });
    assert.equal(await enginePaused(), false);
  });

  it("the audit says which command made a change", async () => {
    await run("stop", task);
    const { rows } = await db.pool.query("select application, event from task_events where task_id = $1", [task]);
    assert.deepEqual(rows, [{ application: "myzel stop", event: "cancelled" }]);
  });

  it("--wait follows a task to its end: exit code 0 where it succeeds, lines for what changes", async () => {
    const waiting = startMyzel(["enqueue", "--wait", "--to", "w", "--no-repo", "do it"], { env });
    const id = await eventually("it is filed", () => /Task ([0-9a-f-]{36}) is filed/.exec(waiting.output.stdout)?.[1]);
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await db.claimAll();
    await eventually("it is seen running", () => waiting.output.stderr.includes("running: The task runs: attempt 1"));
    await db.settle(id, { action: "complete", success: true, summary: "All is well." });
    const ran = await waiting.ended;
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, new RegExp(`Task ${id} succeeded\\.`));
    assert.doesNotMatch(ran.stderr, /[\u001b\r]/, "no live line where there is no terminal");
  });

  it("--wait --json prints one object, the task at its end; exit code 1 where it failed", async () => {
    await run("stop", task);
    const waiting = startMyzel(["retry", task, "--wait", "--json"], { env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await run("stop", task, "--reason", "enough");
    const ran = await waiting.ended;
    assert.equal(ran.code, 1);
    const shown = JSON.parse(ran.stdout);
    assert.deepEqual([shown.id, shown.status, shown.result.error, shown.runs], [task, "completed", "enough", []]);
  });

  it("Ctrl-C while waiting leaves the task going and says so", async () => {
    await run("stop", task);
    const waiting = startMyzel(["retry", task, "--wait"], { env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    waiting.child.kill("SIGINT");
    const ran = await waiting.ended;
    assert.equal(ran.code, 130);
    assert.match(ran.stderr, new RegExp(`task ${task} goes on`));
    assert.equal(await db.status(task), "pending");
  });

  it("a task that is deleted while one waits ends the waiting with exit code 1", async () => {
    await run("stop", task);
    const waiting = startMyzel(["retry", task, "--wait"], { env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await db.pool.query("delete from tasks where id = $1", [task]);
    const ran = await waiting.ended;
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /was deleted while you waited/);
  });
});
