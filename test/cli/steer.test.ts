/** `stop`, `retry`, `why`, `pause`, `resume`, `--wait`: steering and waiting. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { eventually } from "../support/waiting.ts";
import { commandLine } from "./command-line.ts";
import { myzel, startMyzel } from "./run-myzel.ts";

describe("steering from the command line", () => {
  const cli = commandLine();
  let task: string;
  beforeEach(async () => {
    await cli.db.pool.query("delete from tasks");
    await cli.db.pool.query("delete from runs");
    await cli.db.pool.query("delete from addressees");
    task = await cli.db.insert({ addressee: "a", prompt: "p" });
  });

  const { run } = cli;
  const prompt = async () => (await cli.db.pool.query("select prompt from tasks where id = $1", [task])).rows[0].prompt;
  const enginePaused = async () => (await cli.db.pool.query("select paused from engine_state")).rows[0].paused;

  it("stop cancels a pending task, stops a running one, leaves a completed one alone, and says how to undo it", async () => {
    assert.match(await run("stop", task, "--reason", "not now"), /is cancelled and will not run\. .*myzel retry/);
    const { rows } = await cli.db.pool.query("select result from tasks where id = $1", [task]);
    assert.equal(rows[0].result.error, "not now");
    assert.match(await run("stop", task), /had ended already; nothing was changed/);
    await run("retry", task);
    await cli.db.claimAll();
    assert.match(await run("stop", task), /is being stopped\. .*myzel retry/);
    assert.equal(JSON.parse(await run("stop", task, "--json")).status, "completed");
  });

  it("retry makes a task pending again; --note adds to its prompt; a note for a live run is refused", async () => {
    await run("stop", task);
    assert.match(await run("retry", task, "--note", "Mind the gap."), /is pending again\. .*myzel stop/);
    assert.equal(await prompt(), "p\n\nMind the gap.");
    assert.equal(await cli.db.status(task), "pending");
    await cli.db.claimAll();
    const refused = await myzel(["retry", task, "--note", "x"], { env: cli.env });
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /live run/);
  });

  it("stop and retry take several tasks, each once; where one is none, nothing happens", async () => {
    const other = await cli.db.insert({ prompt: "another" });
    const statuses = async () => [await cli.db.status(task), await cli.db.status(other)];
    assert.match(await cli.refused("stop", task, "ffffffff", other), /no task whose id begins or ends with "ffffffff"/);
    assert.deepEqual(await statuses(), ["pending", "pending"]);
    const stopped = await run("stop", task, other, task);
    assert.equal(stopped.match(/is cancelled and will not run/g)?.length, 2, stopped);
    assert.deepEqual(await statuses(), ["completed", "completed"]);
    const retried = (await run("retry", task, other, "--json")).trimEnd().split("\n");
    assert.deepEqual(
      retried.map((line) => JSON.parse(line).id),
      [task, other],
    );
    const waiting = startMyzel(["retry", task, other, "--wait"], { env: cli.env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await run("stop", task, other);
    const ran = await waiting.ended;
    assert.equal(ran.code, 1);
    assert.match(ran.stdout, new RegExp(`Task ${task} failed\\.[^]*Task ${other} failed\\.`));
  });

  it("why gives the sentence, and with --json the code too", async () => {
    await cli.db.claimAll();
    const second = await cli.db.insert({ addressee: "a", prompt: "q" });
    // However long the tests before took, and the command takes.
    await cli.db.pool.query("update engine_beat set beat_at = myzel_now() + interval '10 minutes'");
    assert.match(await run("why", second), /The only slot of "a" is taken|tasks? of "a"/);
    const why = JSON.parse(await run("why", second, "--json"));
    assert.deepEqual(Object.keys(why), ["id", "reason", "explanation"]);
    assert.equal(why.id, second);
  });

  it("pause and resume hold and free one addressee or the engine, and say how to undo it", async () => {
    assert.match(await run("pause", "a"), /Nothing for "a" starts any more.*myzel resume a/);
    assert.equal(await cli.db.claimAll(), 0);
    assert.match(await run("resume", "a"), /start again/);
    assert.equal(await cli.db.claimAll(), 1);
    assert.match(await run("pause"), /Nothing starts any more.*myzel resume/);
    assert.equal(await enginePaused(), true);
    assert.deepEqual(JSON.parse(await run("resume", "--json")), { addressee: null, paused: false });
    assert.equal(await enginePaused(), false);
  });

  it("pause and resume say what is so: an addressee without tasks, no pause to take back, an engine still paused", async () => {
    const unknown = await myzel(["pause", "nobody"], { env: cli.env });
    assert.deepEqual([unknown.code, /no task for "nobody" was ever filed/.test(unknown.stderr)], [0, true]);
    assert.equal((await myzel(["pause", "a"], { env: cli.env })).stderr, "");
    assert.match(await run("resume", "b"), /^"b" was not paused; nothing was changed\.\n$/);
    assert.match(await run("resume"), /^The engine was not paused; nothing was changed\.\n$/);
    await run("pause");
    assert.match(await run("resume", "a"), /Tasks for "a" start again.*\n.*nothing starts yet: myzel resume\n$/);
    await run("resume");
    for (const command of ["pause", "resume"]) assert.match(await cli.refused(command, " "), /addressee is empty/);
    assert.equal((await cli.rows("select from addressees where addressee = ' '")).length, 0);
  });

  it("@last is what was filed last, wherever it was moved to", async () => {
    // The time in an id is whole milliseconds, and both may be filed within one.
    await cli.db.pool.query("update tasks set created_at = created_at - interval '1 second' where id = $1", [task]);
    const second = await cli.db.insert({ addressee: "a", prompt: "q" });
    await run("first", "@last");
    assert.equal(JSON.parse(await run("why", "@last", "--json")).id, second);
    await cli.db.pool.query("update tasks set created_at = now() + interval '1 day' where id = $1", [task]);
    assert.equal(JSON.parse(await run("stop", "@last", "--json")).id, second);
    assert.equal(await cli.db.status(task), "pending");
  });

  it("the audit says which command made a change", async () => {
    await run("stop", task);
    const { rows } = await cli.db.pool.query("select application, event from task_events where task_id = $1", [task]);
    assert.deepEqual(rows, [{ application: "myzel stop", event: "cancelled" }]);
  });

  it("--wait follows a task to its end: exit code 0 where it succeeds, lines for what changes", async () => {
    const waiting = startMyzel(["enqueue", "--wait", "--to", "w", "--no-repo", "do it"], { env: cli.env });
    const id = await eventually("it is filed", () => /Task ([0-9a-f-]{36}) is filed/.exec(waiting.output.stdout)?.[1]);
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await cli.db.claimAll();
    await eventually("it is seen running", () => waiting.output.stderr.includes("running: The task runs: attempt 1"));
    await cli.db.settle(id, { action: "complete", success: true, summary: "All is well." });
    const ran = await waiting.ended;
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, new RegExp(`Task ${id} succeeded\\.`));
    assert.doesNotMatch(ran.stderr, /[\u001b\r]/, "no live line where there is no terminal");
  });

  it("--wait --json prints one object, the task at its end; exit code 1 where it failed", async () => {
    await run("stop", task);
    const waiting = startMyzel(["retry", task, "--wait", "--json"], { env: cli.env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await run("stop", task, "--reason", "enough");
    const ran = await waiting.ended;
    assert.equal(ran.code, 1);
    const shown = JSON.parse(ran.stdout);
    assert.deepEqual([shown.id, shown.status, shown.result.error, shown.runs], [task, "completed", "enough", []]);
  });

  it("Ctrl-C while waiting leaves the task going and says so", async () => {
    await run("stop", task);
    const waiting = startMyzel(["retry", task, "--wait"], { env: cli.env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    waiting.child.kill("SIGINT");
    const ran = await waiting.ended;
    assert.equal(ran.code, 130);
    assert.match(ran.stderr, new RegExp(`task ${task} goes on`));
    assert.equal(await cli.db.status(task), "pending");
  });

  it("a task that is deleted while one waits ends the waiting with exit code 1", async () => {
    await run("stop", task);
    const waiting = startMyzel(["retry", task, "--wait"], { env: cli.env });
    await eventually("it is seen pending", () => waiting.output.stderr.includes("pending: "));
    await cli.db.pool.query("delete from tasks where id = $1", [task]);
    const ran = await waiting.ended;
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /was deleted while you waited/);
  });
});
