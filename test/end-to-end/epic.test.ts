/** An epic on real parts: Green plans, Reds work, reviews and merges, and it ends by itself; or as its limits say. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { apiError, text, textsOf, usageLimit } from "../support/scripted-model.ts";
import type { Answer, ModelRequest } from "../support/scripted-model.ts";
import { startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";
import { calls, createTask, finishEpic, isGreen, plan, playRed, playShop } from "./played-epic.ts";

const GREEN = "project-mgr-shop";

/** What the model plays is chosen by a word of the goal. */
function play(request: ModelRequest): Answer {
  const told = textsOf(request, "user");
  if (isGreen(request)) {
    if (told.includes("ALWAYS-FAILS")) return calls(request, [createTask({ prompt: "BREAK", step: "one" })], "Again.");
    if (told.includes("ENDLESS")) return calls(request, [createTask({ prompt: "WRITE more.txt x" })], "More.");
    if (told.includes("ASKS")) return asks(request, told);
    if (told.includes("LIMITED")) return limited(request, told);
    return playShop(request);
  }
  if (told.includes("BREAK")) return apiError(400, "It cannot be done.");
  if (told.includes("LIMIT-ONCE") && limitResets === null) {
    limitResets = Math.floor(Date.now() / 1000) + 3600;
    return usageLimit(limitResets);
  }
  if (told.includes("LIMIT-ONCE")) return text("Done after the limit.");
  return playRed(request);
}
/** When the usage limit is over; null: it was not reached yet. */
let limitResets: number | null = null;

function asks(request: ModelRequest, told: string): Answer {
  if (told.includes("Blue paint")) return calls(request, [finishEpic(true, "It is blue.")], "Done.");
  return calls(
    request,
    [
      {
        kind: "message",
        blocks: [{ type: "tool_use", name: "mcp__myzel__ask_human", input: { question: "Which paint?" } }],
      },
    ],
    "Asked.",
  );
}

function limited(request: ModelRequest, told: string): Answer {
  if (told.includes("Done after the limit")) return calls(request, [finishEpic(true, "It went on.")], "Done.");
  return calls(request, [plan("wait"), createTask({ prompt: "LIMIT-ONCE" })], "One task.");
}

describe("an epic", () => {
  let spine: Spine;
  let remote: BareRemote;
  before(async () => {
    remote = bareRemote();
    spine = await startSpine(play);
    await spine.pool.query(
      "insert into projects (name, repo_url, merge_policy, default_branch) values ('shop', $1, 'auto', 'main')",
      [remote.url],
    );
    spine.startEngine();
  });
  after(async () => {
    await spine.close();
    remote.remove();
  });

  const file = async (goal: string, limits: object = {}, green = GREEN): Promise<string> =>
    (await spine.pool.query("select id from file_epic($1, $2, $3, limits => $4)", [green, goal, remote.url, limits]))
      .rows[0].id;
  const ended = (id: string) =>
    eventually(
      `epic ${id} ends`,
      async () => {
        const { rows } = await spine.pool.query("select * from epic_overview where id = $1", [id]);
        return rows[0].state === "active" ? undefined : rows[0];
      },
      480_000,
    ).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${JSON.stringify(await tasks(id), null, 1)}`, { cause: error });
    });
  const tasks = async (id: string) =>
    (await spine.pool.query("select * from epic_tasks where epic = $1 order by created_at", [id])).rows;

  it("is built by two Reds at once, reviewed, changed, merged, and finished with its plan on the plan branch", async () => {
    const id = await file("Build the shop.");
    const epic = await ended(id);
    const all = await tasks(id);
    assert.deepEqual(
      [epic.state, epic.end_code, epic.summary],
      ["finished", "finished", "The shop stands."],
      JSON.stringify(all, null, 1),
    );
    assert.equal(remote.file("main", "till.txt"), "one\ntwo\n");
    assert.equal(remote.file("main", "roof.txt"), "tiles\n");
    const written = remote.file("myzel/plan", ".ai/plan.md") ?? "";
    assert.match(
      written,
      new RegExp(`<!-- epic: ${id} -->[^]*side by side[^]*reviewed[^]*needs a change[^]*merged[^]*done`),
    );
    assert.equal(remote.file("main", ".ai/plan.md"), null);
    assert.deepEqual([epic.plan_branch, epic.plan_commit], ["myzel/plan", remote.head("myzel/plan")]);
    assert.equal(remote.git("rev-list", "--count", "main..myzel/plan"), "5");

    const kinds = all.map((task) => task.kind ?? "root");
    assert.deepEqual(
      kinds.filter((kind) => kind !== "wake_up"),
      ["root", "implement", "implement", "review", "implement", "merge", "merge"],
    );
    const [till, roof] = all.filter((task) => task.kind === "implement");
    assert.ok(till.started_at < roof.completed_at && roof.started_at < till.completed_at, "the two ran at once");
    const [first, second] = all.filter((task) => task.kind === "merge");
    assert.ok(first.completed_at <= second.started_at, "tasks of one addressee ran one after the other");
    assert.equal(epic.tasks, 6);
    assert.equal(epic.runs, all.length);
    assert.ok(Number(epic.cost_usd) > 0 && Number(epic.tokens) > 0);
  });

  it("with a Red that always fails ends at the limit of failures in a row", async () => {
    const id = await file("ALWAYS-FAILS", { max_failures_in_a_row: 2 }, "project-mgr-a");
    const epic = await ended(id);
    assert.deepEqual([epic.state, epic.end_code], ["failed", "max_failures_in_a_row"]);
    assert.match(epic.summary, /Of step "one" 2 tasks in a row have failed, the last with agent_error/);
    assert.equal((await tasks(id)).filter((task) => task.prompt === "BREAK").length, 2);
  });

  it("with a Green that creates endlessly ends at the limit of tasks", async () => {
    const id = await file("ENDLESS", { max_tasks: 2 }, "project-mgr-b");
    const epic = await ended(id);
    assert.deepEqual([epic.state, epic.end_code, epic.tasks], ["failed", "max_tasks", 2]);
  });

  it("goes on by itself after a usage limit in the middle", async () => {
    const id = await file("LIMITED", {}, "project-mgr-c");
    const blocked = await eventually(
      "the credential is blocked",
      async () => {
        const { rows } = await spine.pool.query("select * from credentials where blocked_until > now()");
        return rows[0];
      },
      300_000,
    );
    const red = (await tasks(id)).find((task) => task.prompt === "LIMIT-ONCE");
    assert.equal(red.status, "pending");
    const { rows } = await spine.pool.query("select * from why_not_running($1)", [red.id]);
    assert.equal(rows[0].reason, "credential");
    assert.match(rows[0].explanation, /is blocked until .*/);
    assert.ok(limitResets !== null && blocked.blocked_until.getTime() > limitResets * 1000);
    await spine.pool.query("update credentials set blocked_until = now()"); // as if the hour were over
    const epic = await ended(id);
    assert.deepEqual([epic.state, epic.summary], ["finished", "It went on."]);
  });

  it("a question to a person, answered by a plain UPDATE, wakes Green with the answer", async () => {
    const id = await file("ASKS", {}, "project-mgr-d");
    const question = await eventually(
      "the question is in the inbox",
      async () => (await spine.pool.query("select * from inbox where epic = $1", [id])).rows[0],
      300_000,
    );
    assert.deepEqual([question.kind, question.addressee], ["question", "blue"]);
    assert.match(question.prompt, /Which paint\?/);
    await spine.pool.query(
      `update tasks set status = 'completed', result = '{"success": true, "summary": "Blue paint"}' where id = $1`,
      [question.id],
    );
    const epic = await ended(id);
    assert.deepEqual([epic.state, epic.summary], ["finished", "It is blue."]);
  });
});
