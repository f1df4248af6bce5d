/** No work is lost, on real parts: what a run had not pushed when it ended is there when its task goes on. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { text, textsOf, toolUse, usageLimit } from "../support/scripted-model.ts";
import type { Answer, ModelRequest } from "../support/scripted-model.ts";
import { startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";

const commit = (name: string): Answer =>
  toolUse("Bash", {
    command: `echo ${name} > ${name}.txt && git add ${name}.txt && git commit -qm 'Add ${name}'`,
  });

/** The usage limit of the account, while it is reached. */
let limited = true;

/** Commits one, two and three, one a step; what cuts it short is chosen by a word in the prompt. */
function playAgent(request: ModelRequest): Answer {
  const { step } = request;
  const prompt = textsOf(request, "user");
  const end = text("One, two and three are there.");
  if (prompt.includes("ALWAYS-LIMITED")) return usageLimit(Math.floor(Date.now() / 1000) + 3600);
  if (prompt.includes("LIMITED") && step === 2 && limited) return usageLimit(Math.floor(Date.now() / 1000) + 3600);
  if (prompt.includes("STOPPED") && prompt.includes("Your run was interrupted")) {
    // The CLI tells the model in messages of its own that its last command was cut off.
    return JSON.stringify(request.body.messages).includes("Add three") ? end : commit("three");
  }
  if (step === 0) return commit("one");
  if (step === 1) return commit("two");
  if (step > 2) return end;
  return prompt.includes("STOPPED") ? toolUse("Bash", { command: "echo left > left.txt; sleep 60" }) : commit("three");
}

describe("work that was not pushed", () => {
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

  const attempts = async (id: string) =>
    (await spine.pool.query("select * from runs where task_id = $1 order by attempt", [id])).rows;
  const unblock = () => spine.pool.query("update credentials set blocked_until = null");
  const waitingAttempt = (id: string, attempt: number) =>
    eventually(
      `attempt ${attempt} has ended`,
      async () => (await attempts(id)).find((run) => run.attempt === attempt && run.finished_at !== null),
      300_000,
    );

  it("a run cut by a usage limit after two commits goes on in the next attempt and ends with both", async () => {
    const id = await spine.insert({ addressee: "w1", prompt: "LIMITED", repo_url: remote.url, branch: "limited" });
    const first = await waitingAttempt(id, 1);
    assert.deepEqual([first.failure_code, first.retry_at !== null], ["usage_limit", true]);
    assert.equal(remote.head("limited"), null);
    limited = false;
    await unblock();
    const { result } = await spine.completed(id);
    assert.equal(result.success, true, JSON.stringify(result));
    assert.deepEqual((result["files_changed"] as string[]).toSorted(), ["one.txt", "three.txt", "two.txt"]);
    const subjects = remote.git("log", "--format=%s", "limited").split("\n");
    assert.deepEqual(subjects.slice(0, 3), ["Add three", "Add two", "Add one"]);

    const runs = await attempts(id);
    assert.deepEqual(
      runs.map((run) => [run.attempt, run.retries]),
      [
        [1, 0],
        [2, 0],
      ],
    );
    assert.equal(runs[1].session_id, runs[0].session_id, "the session went on");
    assert.equal(runs[1].turns, 2, "the first two steps were not played again");
    assert.ok(Number(runs[1].cost_usd) <= Number(runs[0].cost_usd), "each attempt counts its own cost");
    assert.match(await spine.transcript(id), /A usage limit was reached|One, two and three/);
  });

  it("several limits in a row in which nothing gets done end the task", async () => {
    const id = await spine.insert({ addressee: "w2", prompt: "ALWAYS-LIMITED", repo_url: remote.url });
    for (const attempt of [1, 2]) {
      assert.ok((await waitingAttempt(id, attempt)).retry_at, "put back");
      await unblock();
    }
    const { result } = await spine.completed(id);
    assert.deepEqual([result["code"], result["attempt"]], ["usage_limit", 3]);
    assert.match(String(result["error"]), /given up: 3 times in a row it got nothing done/);
    await unblock();
  });

  it("a run that used up its turns is gone on with by a retry with continue, and not without it", async () => {
    await spine.pool.query(
      "insert into profiles (name, role, addressee_pattern, max_turns) values ('short', 'red', 'short-%', 2)",
    );
    const id = await spine.insert({ addressee: "short-1", prompt: "Do it.", repo_url: remote.url, branch: "turns" });
    const { result } = await spine.completed(id);
    assert.deepEqual([result["code"], result["work_kept"]], ["max_turns", true], JSON.stringify(result));
    assert.equal(remote.head("turns"), null);
    await spine.pool.query("select reschedule($1, 'You may take two turns more.', continue => true)", [id]);
    const again = await spine.completed(id);
    assert.equal(again.result.success, true, JSON.stringify(again.result));
    assert.equal(remote.file("turns", "one.txt"), "one\n");
    assert.equal(remote.file("turns", "three.txt"), "three\n");
    const { rows } = await spine.pool.query("select continue_run from task_options where task_id = $1", [id]);
    assert.equal(rows[0].continue_run, (await attempts(id))[0].id);
    await spine.pool.query("update tasks set status = 'pending' where id = $1", [id]);
    const { rows: cleared } = await spine.pool.query("select continue_run from task_options where task_id = $1", [id]);
    assert.equal(cleared[0].continue_run, null, "a plain edit starts from the start");
    await spine.pool.query("select stop($1)", [id]);
  });

  it("a stop keeps what there is, committed or not", async () => {
    const id = await spine.insert({ addressee: "w4", prompt: "STOPPED", repo_url: remote.url, branch: "stopped" });
    await eventually(
      "the agent is at its third step",
      () => spine.model.requests.some((request) => request.step === 2 && textsOf(request, "user").includes("STOPPED")),
      300_000,
    );
    const left = `runs/task-${id}-1/work/repo/left.txt`;
    await eventually("it has left something", () => existsSync(join(spine.dataDir, left)));
    await spine.pool.query("select stop($1, 'Enough.')", [id]);
    const run = await waitingAttempt(id, 1);
    assert.equal(run.failure_code, "stopped");
    const { rows } = await spine.pool.query(
      "select branch, head_sha, session_id, octet_length(bundle) as size from run_work where run_id = $1",
      [run.id],
    );
    assert.equal(rows.length, 1);
    assert.ok(rows[0].size > 0 && rows[0].session_id !== null);
    assert.equal(remote.head("stopped"), null, "nothing is pushed");

    await spine.pool.query("select reschedule($1, continue => true)", [id]);
    const { result } = await spine.completed(id);
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(remote.file("stopped", "two.txt"), "two\n");
    assert.equal(remote.file("stopped", "left.txt"), "left\n");
    assert.equal(remote.file("stopped", "three.txt"), "three\n");
  });
});
