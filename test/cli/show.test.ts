/** `tasks`, `show`, `logs`: what people and programs see of tasks and runs. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, it } from "node:test";
import { commandLine } from "./command-line.ts";
import { myzel, startMyzel } from "./run-myzel.ts";
import { eventually } from "../support/waiting.ts";

const STREAM = [
  { type: "system", subtype: "init", claude_code_version: "2.1.329", model: "claude-sonnet-5-5" },
  { type: "assistant", message: { content: [{ type: "text", text: "I look\u001b]0;evil\u0007 at it." }] } },
  { type: "assistant", message: { content: [{ type: "tool_use", name: "Bash", input: { command: "npm test" } }] } },
  { type: "user", message: { content: [{ type: "tool_result", content: "all green" }] } },
  { type: "result", subtype: "success", is_error: false, num_turns: 2, total_cost_usd: 0.01 },
];

describe("what the command line shows", () => {
  const cli = commandLine();

  const { run } = cli;
  const clear = async () => {
    await cli.db.pool.query("delete from tasks");
    await cli.db.pool.query("delete from runs");
  };
  const storeTranscript = async (runId: string, lines: readonly unknown[]) => {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    await cli.db.pool.query(
      "insert into run_transcripts (run_id, content, raw_bytes, truncated) values ($1, $2, $3, false)",
      [runId, gzipSync(text), text.length],
    );
  };
  const completedTask = async () => {
    const id = await cli.db.insert({ addressee: "one", prompt: "Do it\nwell" });
    await cli.db.claimAll();
    const live = await cli.db.liveRun(id);
    await storeTranscript(live?.id ?? "", STREAM);
    await cli.db.settle(id);
    return { id, runId: live?.id };
  };

  it("tasks lists them newest first, filtered by status and addressee, and bounded", async () => {
    await clear();
    assert.match(await run("tasks"), /^No tasks\. File one with: /);
    assert.equal(await run("tasks", "--addressee", "b", "--status", "running"), 'No running tasks for "b".\n');
    for (const addressee of ["a", "b", "b"]) await cli.db.insert({ addressee, prompt: `for ${addressee}` });
    await cli.db.pool.query("update tasks set status = 'completed' where addressee = 'a'");
    const table = (await run("tasks")).trimEnd().split("\n");
    assert.match(table[0] ?? "", /^ID +STATUS +ADDRESSEE +AGE +PROMPT +RESULT$/);
    assert.equal(table.length, 4);
    assert.match(table[3] ?? "", /^[0-9a-f]{8} +completed +a +\d+ s +for a +failed stopped: Cancelled/);
    const objects = (await run("tasks", "--addressee", "b", "--json")).trimEnd().split("\n");
    assert.deepEqual(
      objects.map((line) => JSON.parse(line).addressee),
      ["b", "b"],
    );
    const columns = await cli.db.pool.query("select * from tasks limit 0");
    const names = columns.fields.map((field) => field.name);
    assert.deepEqual(Object.keys(JSON.parse(objects[0] ?? "")).toSorted(), names.toSorted());
    assert.equal((await run("tasks", "--status", "completed", "--json")).trimEnd().split("\n").length, 1);
    assert.equal((await run("tasks", "--limit", "1", "--json")).trimEnd().split("\n").length, 1);
    assert.equal((await run("tasks", "--limit", "1", "--all", "--json")).trimEnd().split("\n").length, 3);
  });

  it("tasks --watch without a terminal is a line for each change", async () => {
    await clear();
    const watching = startMyzel(["tasks", "--watch", "--addressee", "w"], { env: cli.env });
    const id = await cli.db.insert({ addressee: "w", prompt: "Watch me" });
    await eventually("it is seen pending", () => watching.output.stdout.includes(" pending, w: Watch me\n"));
    await cli.db.claimAll();
    await eventually("it is seen running", () => watching.output.stdout.includes(" running, "));
    await cli.db.settle(id, { action: "complete", success: true, summary: "Seen." });
    await eventually("its end is seen", () => watching.output.stdout.includes(" completed, "));
    watching.child.kill("SIGINT");
    const ran = await watching.ended;
    assert.deepEqual([ran.code, ran.stderr], [130, ""]);
    const short = id.slice(-8);
    assert.equal(
      ran.stdout,
      `${short} pending, w: Watch me\n${short} running, w: Watch me\n${short} completed, w: Watch me: ok Seen.\n`,
    );
  });

  it("nothing in a task's text reaches the terminal as a control sequence", async () => {
    await clear();
    const nasty = "red \u001b[31malert\u001b[0m \u009b2J \u001b]0;title\u0007 \u202eback\r\u0008 end";
    const id = await cli.db.insert({ prompt: nasty, created_by: nasty, addressee: "who" });
    await cli.db.pool.query("update tasks set status = 'completed', result = $2 where id = $1", [
      id,
      { success: false, error: nasty, [nasty]: nasty },
    ]);
    for (const args of [["tasks"], ["show", id], ["why", id]]) {
      const text = await run(...args);
      assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/, args[0]);
    }
    assert.match(await run("show", id), /red alert/);
  });

  it("show --json is the task with its runs by column names, without the token's hash", async () => {
    await clear();
    const { id, runId } = await completedTask();
    const task = JSON.parse(await run("show", id, "--json"));
    assert.deepEqual([task.id, task.status, task.result.success, task.runs.length], [id, "completed", true, 1]);
    const [shown] = task.runs;
    assert.deepEqual([shown.id, shown.attempt, shown.success, shown.job_name], [runId, 1, true, `task-${id}-1`]);
    assert.equal("token_hash" in shown, false);
    assert.equal(await run("inspect", id, "--json"), await run("show", id, "--json"));
  });

  it("show prints the task, its runs, its result and the end of its transcript", async () => {
    await clear();
    const { id } = await completedTask();
    const text = await run("show", "@last");
    for (const part of [
      `Task ${id}`,
      "completed",
      "Do it\n  well",
      "ATTEMPT",
      "success",
      "npm test",
      "I look at it.",
    ]) {
      assert.ok(text.includes(part), `${part} in:\n${text}`);
    }
  });

  it("a unique beginning or end of an id will do, an ambiguous one names the candidates, a wrong one says so", async () => {
    await clear();
    const ids = [
      "abcd0000-0000-4000-8000-000000000001",
      "abcd0000-0000-4000-8000-000000000002",
      "abce0000-0000-4000-8000-00000000abcd",
      "01a1fef3-d412-7a7d-b620-3e6d5f7c2a68",
      "01a1fef3-d412-7a7e-9620-3e6d5f7c2a69",
    ];
    for (const id of ids)
      await cli.db.pool.query("insert into tasks (id, addressee, prompt) values ($1, 'a', 'p')", [id]);
    const shown = async (given: string) => JSON.parse(await run("show", given, "--json")).id;
    assert.equal(await shown("abce"), ids[2]);
    assert.equal(await shown("ABCE0000-0000"), ids[2]);
    assert.equal(await shown(ids[0] ?? ""), ids[0]);
    assert.equal(await shown("@last"), ids[4]);
    assert.equal(await shown("5f7c2a68"), ids[3]);
    assert.equal(await shown("9620-3e6d5f7c2a69"), ids[4], "the end may reach over a hyphen");
    const failing = async (given: string) => {
      const ran = await myzel(["show", given], { env: cli.env });
      assert.equal(ran.code, 2);
      return ran.stderr;
    };
    assert.match(await failing("abcd"), new RegExp(`several tasks: ${ids[0]}, ${ids[1]}, ${ids[2]}`));
    assert.match(await failing("01a1fef3"), new RegExp(`several tasks: ${ids[3]}, ${ids[4]}`));
    assert.match(await failing("abcf"), /no task whose id begins or ends with "abcf"/);
    for (const given of ["abc", "xyz1", "", "@first", `${ids[0]}0`])
      assert.match(await failing(given), /is no task id/);
  });

  it("ids as they are listed tell tasks apart that were filed at the same time", async () => {
    await clear();
    for (const prompt of ["one", "two", "three"]) await cli.db.insert({ prompt });
    const lines = (await run("tasks")).trimEnd().split("\n").slice(1);
    const ids = lines.map((line) => line.split(" ")[0] ?? "");
    assert.equal(new Set(ids).size, 3);
    for (const [at, prompt] of ["three", "two", "one"].entries()) {
      assert.equal(JSON.parse(await run("show", ids[at] ?? "", "--json")).prompt, prompt);
    }
  });

  it("logs prints the transcript in words, --raw as it is stored, --attempt chooses, -f ends where the task has ended", async () => {
    await clear();
    const { id } = await completedTask();
    const text = await run("logs", id);
    assert.match(text, /I look at it\.\n→ Bash .*npm test.*\n← all green\n/);
    const raw = (await run("logs", id, "--raw")).trimEnd().split("\n");
    assert.deepEqual(
      raw.map((line) => JSON.parse(line)),
      STREAM,
    );
    assert.equal(await run("logs", id, "--attempt", "1", "--json"), await run("logs", id, "--raw"));
    const other = await myzel(["logs", id, "--attempt", "7"], { env: cli.env });
    assert.equal(other.code, 2);
    assert.match(other.stderr, /has no attempt 7; it has 1/);
    assert.equal(await run("logs", "-f", id), text);
  });

  it("a live log is JSON lines for programs, its words as lines of type log", async () => {
    await clear();
    const id = await cli.db.insert({});
    await cli.db.claimAll();
    const directory = join(cli.directory, "runs", `task-${id}-1`);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, "log"), `[myzel] agent begins\n${JSON.stringify(STREAM[0])}\n`);
    const lines = (await run("logs", id, "--json")).trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [{ type: "log", text: "[myzel] agent begins" }, STREAM[0]],
    );
    assert.match(await run("logs", id), /^\[myzel\] agent begins\nClaude Code/);
  });

  it("a result without a commit says that the branch got nothing new", async () => {
    await clear();
    const id = await cli.db.insert({});
    await cli.db.claimAll();
    await cli.db.settle(id, { action: "complete", success: true, summary: "Nothing to do.", branch: "myzel/x" });
    assert.match(await run("show", id), /branch +myzel\/x \(nothing new was committed\)\n/);
  });

  it("logs of a task that has not run says what it waits for", async () => {
    await clear();
    const id = await cli.db.insert({});
    const ran = await myzel(["logs", id], { env: cli.env });
    assert.equal(ran.code, 0);
    assert.match(ran.stderr, /has not run yet\. Nothing stands in its way|has not run yet\. \w+/);
  });

  it("logs -f waits for a run whose log lies elsewhere and prints its transcript when it has ended", async () => {
    await clear();
    const id = await cli.db.insert({});
    const following = startMyzel(["logs", "-f", id], { env: cli.env });
    await eventually("it waits", () => following.output.stderr.includes("Waiting: "));
    await cli.db.claimAll();
    await eventually("it sees the run", () => following.output.stderr.includes("cannot be read from here"));
    const live = await cli.db.liveRun(id);
    await storeTranscript(live?.id ?? "", STREAM);
    await cli.db.settle(id);
    const ran = await following.ended;
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /npm test/);
    assert.match(ran.stderr, /The task succeeded\.\n$/);
  });

  it("logs -f ends with 0 however the task ended; with --exit-status with 1 where it did not succeed", async () => {
    await clear();
    const id = await cli.db.insert({});
    await cli.db.claimAll();
    await cli.db.settle(id, { action: "complete", success: false, failure_code: "max_turns", error: "Too many." });
    const code = async (...args: string[]) => (await myzel(["logs", id, ...args], { env: cli.env })).code;
    assert.equal(await code("-f"), 0);
    assert.equal(await code("-f", "--exit-status"), 1);
    const good = await completedTask();
    assert.equal((await myzel(["logs", "-f", good.id, "--exit-status"], { env: cli.env })).code, 0);
    assert.match(await cli.refused("logs", id, "--exit-status"), /--exit-status goes with --follow/);
    assert.match(await cli.refused("logs", id, "-f", "--attempt", "1"), /'--attempt <n>' cannot be used with option/);
  });

  it("tasks --status succeeded and failed part the completed ones by how they ended", async () => {
    await clear();
    const good = await completedTask();
    const cancelled = await cli.db.insert({});
    await cli.db.pool.query("select stop($1)", [cancelled]);
    await cli.db.insert({ prompt: "waits" });
    const ids = async (status: string) =>
      (await run("tasks", "--status", status, "--json"))
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).id);
    assert.deepEqual(await ids("succeeded"), [good.id]);
    assert.deepEqual(await ids("failed"), [cancelled]);
    assert.equal((await ids("completed")).length, 2);
  });

  it("a cost is shown as money, whatever JSON makes of its digits", async () => {
    await clear();
    const id = await cli.db.insert({});
    await cli.db.pool.query(
      `update tasks set status = 'completed', result = '{"success": true, "cost_usd": 0.0012000000000000001}'`,
    );
    assert.match(await run("show", id), /cost_usd +\$0\.0012\n/);
    assert.match(await run("show", id, "--json"), /0\.0012000000000000001/);
  });

  it("Ctrl-C while following leaves the task going and says so", async () => {
    await clear();
    const id = await cli.db.insert({});
    const following = startMyzel(["logs", "-f", id], { env: cli.env });
    await eventually("it waits", () => following.output.stderr.includes("Waiting: "));
    following.child.kill("SIGINT");
    const ran = await following.ended;
    assert.equal(ran.code, 130);
    assert.match(ran.stderr, /goes on\.\n$/);
    assert.equal(await cli.db.status(id), "pending");
  });

  it("a reader that stops reading ends the list without a word", async () => {
    await clear();
    await cli.db.pool.query(
      "insert into tasks (addressee, prompt) select 'a', repeat('x', 1000) from generate_series(1, 2000)",
    );
    const listing = startMyzel(["tasks", "--all", "--json"], { env: cli.env });
    listing.child.stdout?.once("data", () => listing.child.stdout?.destroy());
    const ran = await listing.ended;
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
  });
});
