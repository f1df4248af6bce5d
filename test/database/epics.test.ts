import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import pg from "pg";
import { GREEN, REPO, epicStage, failed } from "./epic-stage.ts";
import type { EpicStage } from "./epic-stage.ts";

describe("epics", () => {
  let stage: EpicStage;
  beforeEach(async () => {
    stage = await epicStage();
  });
  afterEach(() => stage.db.close());
  const query = async (text: string, values: unknown[] = []) => (await stage.db.pool.query(text, values)).rows;

  it("a plain INSERT for a Green addressee begins an epic when it is claimed", async () => {
    const id = await stage.db.insert({ addressee: GREEN, prompt: "Build it.\nWell.", repo_url: REPO });
    await stage.db.claimAll();
    const epic = await stage.epic(id);
    assert.equal(epic["title"], "Build it.");
    assert.equal(epic["state"], "active");
    assert.equal((await query("select epic from runs where task_id = $1", [id]))[0].epic, id);
    const other = await stage.db.insert({ addressee: "worker-1" });
    await stage.db.claimAll();
    assert.equal(await stage.epic(other), undefined);
  });

  it("takes its limits from the filing, then the project, then the table", async () => {
    await query("insert into projects (name, repo_url, epic_max_tasks, epic_max_runs) values ('web', $1, 7, 8)", [
      "https://host/web/",
    ]);
    const epic = await stage.epic(await stage.file({ max_runs: 5, max_wall_time: "2 hours" }));
    assert.deepEqual(
      [epic["project"], epic["max_tasks"], epic["max_runs"], epic["max_depth"], epic["max_wall_time"].hours],
      ["web", 7, 5, 3, 2],
    );
    await assert.rejects(stage.file({ max_beer: 1 }), /An epic has no limit "max_beer"; there are max_tasks/);
    await assert.rejects(stage.file({ max_tasks: "many" }), /A limit of the epic is not a number/);
    await assert.rejects(stage.file({ max_tasks: 0 }), /max_tasks must be 1 or more/);
    await assert.rejects(query("select file_epic('worker-1', 'x')"), /"worker-1" is no Green/);
  });

  it("its plan is the commit of the run that started last and made one, also of runs that are settled at once", async () => {
    const id = await stage.file();
    const used = [
      { started_at: "2026-01-01T10:00Z", plan: { branch: "myzel/plan", commit: "ffff" } },
      { started_at: "2026-01-01T11:00Z", plan: { branch: "myzel/plan", commit: "aaaa" } },
      { started_at: "2026-01-01T12:00Z", plan: { branch: "myzel/plan", commit: null } },
    ].map((run) => ({ epic: id, tokens: 1, cost_usd: 0, ...run }));
    await query("select spend_on_epics($1)", [JSON.stringify(used)]);
    const epic = await stage.epic(id);
    assert.deepEqual([epic["plan_branch"], epic["plan_commit"]], ["myzel/plan", "aaaa"]);
  });

  it("creates children in it with creator, parent and depth, once", async () => {
    const id = await stage.file();
    const root = await stage.plan([
      { prompt: "one", kind: "implement", step: "1", paths: ["src/"], base_branch: "dev" },
      { prompt: "two", addressee: "project-mgr-sub", wake: "last" },
    ]);
    const [, one, two] = await stage.tasks(id);
    assert.equal(root, id);
    assert.match(one?.["addressee"], /^worker-[0-9a-f-]{36}$/);
    assert.deepEqual(
      [one?.["created_by"], one?.["parent_id"], one?.["depth"], one?.["kind"], one?.["step"], one?.["paths"]],
      [GREEN, root, 1, "implement", "1", ["src/"]],
    );
    assert.equal(one?.["base_branch"], "dev");
    assert.ok(two?.["group_id"]);
    assert.equal((await stage.epic(id))["tasks"], 2);
  });

  it("an agent outside of any epic that creates tasks begins one, which ends with the last of them", async () => {
    await query(
      "insert into profiles (name, role, addressee_pattern, may_create_tasks) values ('lead', 'red', 'lead-%', true)",
    );
    const id = await stage.db.insert({ addressee: "lead-1" });
    await stage.run("lead-1", { tasks: [{ prompt: "child" }] });
    assert.equal((await stage.epic(id))["state"], "active");
    await stage.work("child");
    const epic = await stage.epic(id);
    assert.deepEqual([epic["state"], epic["end_code"]], ["finished", "finished"]);
  });

  describe("limits", () => {
    const refusals = async () =>
      (
        await query("select detail ->> 'problem' as problem from task_events where event = 'child_refused' order by id")
      ).map(({ problem }) => problem);

    it("tasks a run may create: the rest is refused, recorded, and told in the next wake-up", async () => {
      const id = await stage.file({ max_tasks_per_run: 1 });
      await stage.plan([{ prompt: "first" }, { prompt: "second" }]);
      assert.deepEqual(await refusals(), ["One run may create 1 tasks (max_tasks_per_run)."]);
      await stage.work("first");
      const [wakeUp] = await stage.wakeUps(id);
      assert.match(
        wakeUp?.["prompt"],
        /A task that you asked for was refused: One run may create 1 tasks .* It began: second/,
      );
    });

    it("an operator may raise them while it runs, and change nothing else of it", async () => {
      const id = await stage.file({ max_tasks: 1 });
      const operator = new pg.Client({ connectionString: stage.db.test.url("operator") });
      await operator.connect();
      try {
        await operator.query("update epics set max_tasks = 2, max_wall_time = '9 days' where id = $1", [id]);
        await assert.rejects(operator.query("update epics set state = 'finished'"), /permission denied/);
      } finally {
        await operator.end();
      }
      await stage.plan([{ prompt: "a" }, { prompt: "b" }, { prompt: "c" }]);
      assert.equal((await stage.epic(id))["tasks"], 2);
    });

    it("names that git would refuse, of the branch and of the one it starts from", async () => {
      await stage.file();
      await stage.plan([
        { prompt: "a", branch: "a b" },
        { prompt: "b", branch: "good", base_branch: "a..b" },
      ]);
      assert.deepEqual(await refusals(), [
        'branch "a b" is not a name that git accepts for a branch.',
        'base_branch "a..b" is not a name that git accepts for a branch.',
      ]);
    });

    it("repositories that nobody has named: a task may be for its creator's own, or for a project's", async () => {
      const id = await stage.file();
      await query("insert into projects (name, repo_url, merge_policy) values ('lib', 'https://host/lib.git', 'auto')");
      const strange = ["file:///srv/secret.git", "https://elsewhere/web.git", "https://HOST/lib.git"];
      const known = ["https://host/web", "https://host/lib"];
      await stage.plan([...strange, ...known].map((repo_url) => ({ prompt: repo_url, repo_url })));
      assert.deepEqual(
        await refusals(),
        strange.map(
          (url) =>
            `The repository ${url} is neither the one of this task nor that of a project: a person may add it (myzel project add).`,
        ),
      );
      const made = (await stage.tasks(id)).map((task) => String(task["repo_url"])).filter((url) => url !== REPO);
      assert.deepEqual(made.toSorted(), known.toSorted());
    });

    it("the branch of plans: no task works on it", async () => {
      await stage.file();
      await query("insert into projects (name, repo_url, plan_branch) values ('lib', 'https://host/lib.git', 'plans')");
      await stage.plan([
        { prompt: "a", branch: "myzel/plan" },
        { prompt: "b", branch: "plans", repo_url: "https://host/lib.git" },
        { prompt: "c", branch: "plans" },
      ]);
      assert.deepEqual(
        await refusals(),
        ["myzel/plan", "plans"].map((branch) => `The branch "${branch}" holds the plans of epics: name another one.`),
      );
    });

    it("tasks in all: refused, and an epic that goes no other way ends and says which limit", async () => {
      const id = await stage.file({ max_tasks: 1 });
      await stage.plan([{ prompt: "a" }]);
      await stage.work("a");
      await stage.plan([{ prompt: "b" }]);
      assert.match((await refusals())[0] ?? "", /may have 1 tasks \(max_tasks\), and it has them/);
      assert.match((await stage.wakeUps(id))[0]?.["prompt"], /refused: The epic may have 1 tasks/);
      await stage.plan([{ prompt: "c" }]);
      const epic = await stage.epic(id);
      assert.deepEqual([epic["state"], epic["end_code"]], ["failed", "max_tasks"]);
      assert.match(epic["summary"], /used all of its 1 tasks/);
      assert.equal((await stage.wakeUps(id)).length, 0);
    });

    it("two Greens that feed each other are caught by depth", async () => {
      const id = await stage.file({ max_depth: 3, max_failures_in_a_row: 1 });
      let who = GREEN;
      for (let depth = 1; depth <= 3; depth++) {
        const next = who === GREEN ? "project-mgr-other" : GREEN;
        await stage.db.claimAll();
        // the deepest of them, not its wake-ups
        const { id: task } = (
          await query(
            `select t.id from tasks t join task_options o on o.task_id = t.id
             where t.status = 'running' and t.addressee = $1 and o.depth = $2`,
            [who, depth - 1],
          )
        )[0];
        await stage.db.settle(task, {
          action: "complete",
          success: true,
          tasks: [{ prompt: `depth ${depth}`, addressee: next }],
        });
        await query("delete from tasks where created_by = 'engine'");
        who = next;
      }
      await stage.run(who, { tasks: [{ prompt: "too deep" }] });
      assert.match((await refusals())[0] ?? "", /handed on 3 times \(max_depth\)/);
      assert.equal((await stage.tasks(id)).filter(({ prompt }) => prompt === "too deep").length, 0);
    });

    it("failures in a row of one step end it; a success or another step begins anew", async () => {
      const id = await stage.file({ max_failures_in_a_row: 2 });
      await stage.plan([{ prompt: "a1", step: "a" }]);
      await stage.work("a1", failed());
      await stage.plan([{ prompt: "b1", step: "b" }]);
      await stage.work("b1", failed());
      await stage.plan([{ prompt: "a2", step: "a" }]);
      await stage.work("a2");
      await stage.plan([{ prompt: "a3", step: "a" }]);
      await stage.work("a3", failed());
      assert.equal((await stage.epic(id))["state"], "active");
      await stage.plan([
        { prompt: "a4", step: "a" },
        { prompt: "never", step: "c" },
      ]);
      await stage.work("a4", failed("checks_failed", "2 tests fail."));
      const epic = await stage.epic(id);
      assert.deepEqual([epic["state"], epic["end_code"]], ["failed", "max_failures_in_a_row"]);
      assert.match(
        epic["summary"],
        /Of step "a" 2 tasks in a row have failed, the last with checks_failed: 2 tests fail\./,
      );
      assert.equal((await stage.tasks(id)).find(({ prompt }) => prompt === "never")?.["result"].code, "stopped");
    });

    for (const [limit, outcome, says] of [
      ["max_tokens", { input_tokens: 600, output_tokens: 400 }, /has used 1000 of 1000 tokens/],
      ["max_cost_usd", { cost_usd: 1000 }, /has cost \$1000\.00 of \$1000\.00/],
    ] as const) {
      it(`${limit}: ends it with what is pending and what runs`, async () => {
        const id = await stage.file({ [limit]: 1000 });
        await stage.plan([{ prompt: "spends" }, { prompt: "runs" }, { prompt: "waits", addressee: "busy" }]);
        await stage.work("spends", outcome);
        const epic = await stage.epic(id);
        assert.deepEqual([epic["state"], epic["end_code"]], ["failed", limit]);
        assert.match(epic["summary"], says);
        assert.deepEqual(
          (await query("select stop_requested_at is not null as stopping from runs where finished_at is null")).map(
            ({ stopping }) => stopping,
          ),
          [true, true],
        );
        assert.equal((await stage.wakeUps(id)).length, 0);
      });
    }

    it("runs and wall time", async () => {
      const runs = await stage.file({ max_runs: 2 });
      await stage.plan([{ prompt: "r1" }]);
      await stage.work("r1");
      assert.equal((await stage.epic(runs))["end_code"], "max_runs");
      const time = await stage.file({ max_wall_time: "1 minute" });
      await stage.plan([{ prompt: "t1" }]);
      await query("update epics set started_at = started_at - interval '2 minutes' where id = $1", [time]);
      assert.equal((await query("select end_overdue_epics($1) as ended", [stage.db.epoch]))[0].ended, 1);
      const epic = await stage.epic(time);
      assert.deepEqual([epic["state"], epic["end_code"]], ["failed", "max_wall_time"]);
      assert.match(epic["summary"], /runs for longer than 60 s/);
    });
  });

  describe("its end", () => {
    it("finish_epic ends it, cancels what is pending, lets running work end and wakes nobody", async () => {
      const id = await stage.file();
      await stage.plan([{ prompt: "quick" }, { prompt: "slow" }]);
      await stage.work("quick");
      await stage.plan([{ prompt: "late" }], { finish_epic: { success: true, summary: "The shop is built." } });
      const epic = await stage.epic(id);
      assert.deepEqual(
        [epic["state"], epic["end_code"], epic["summary"], epic["waits_for"]],
        ["finished", "finished", "The shop is built.", null],
      );
      assert.equal(
        (await stage.tasks(id)).some(({ prompt }) => prompt === "late"),
        false,
      );
      await stage.work("slow");
      assert.equal((await stage.wakeUps(id)).length, 0);
    });

    it("a Green that says it cannot be done ends it as a failure", async () => {
      const id = await stage.file();
      await stage.plan([], { finish_epic: { success: false, summary: "There is no such shop." } });
      const epic = await stage.epic(id);
      assert.deepEqual(
        [epic["state"], epic["end_code"], epic["summary"]],
        ["failed", "gave_up", "There is no such shop."],
      );
    });

    it("stop_epic stops everything under it and wakes nobody", async () => {
      const id = await stage.file();
      await stage.plan([{ prompt: "runs" }, { prompt: "waits", addressee: "busy" }]);
      await query("select stop_epic($1, 'enough')", [id]);
      const epic = await stage.epic(id);
      assert.deepEqual([epic["state"], epic["end_code"], epic["summary"]], ["stopped", "stopped", "enough"]);
      assert.equal(
        (await stage.tasks(id)).every(({ status }) => status === "completed"),
        true,
      );
      assert.equal((await stage.wakeUps(id)).length, 0);
      await assert.rejects(query("select stop_epic(gen_random_uuid())"), /There is no epic/);
    });

    it("a Green that goes no further is woken with that, and in the end the epic ends", async () => {
      const id = await stage.file({ max_failures_in_a_row: 2 });
      await stage.plan([]);
      assert.match(
        (await stage.wakeUps(id))[0]?.["prompt"],
        /nothing of the epic is pending or running\. Create the next task/,
      );
      await stage.run(GREEN, failed("max_turns", "It took too many turns."));
      assert.match(
        (await stage.wakeUps(id))[0]?.["prompt"],
        /Your last run failed \(max_turns\): It took too many turns\./,
      );
      await stage.run(GREEN, failed("max_turns", "It took too many turns."));
      const epic = await stage.epic(id);
      assert.deepEqual([epic["state"], epic["end_code"]], ["failed", "stalled"]);
      assert.match(epic["summary"], /woken 2 times in a row .* failed with max_turns/);
    });

    it("a person who stops or completes Green's task ends it; who runs it again opens it", async () => {
      const id = await stage.file();
      await stage.db.claimAll();
      await query("select stop($1)", [id]);
      assert.equal((await stage.epic(id))["state"], "stopped");
      await query("update tasks set status = 'pending' where id = $1", [id]);
      assert.equal((await stage.epic(id))["state"], "active");
      await query(`update tasks set status = 'completed', result = '{"success": true}' where id = $1`, [id]);
      assert.equal((await stage.epic(id))["state"], "finished");
    });

    it("one that is run again after its time has that time anew", async () => {
      const id = await stage.file({ max_wall_time: "1 minute" });
      await stage.plan([{ prompt: "a" }]);
      await query("update epics set started_at = started_at - interval '2 minutes'");
      await query("select end_overdue_epics($1)", [stage.db.epoch]);
      await query("update tasks set status = 'pending' where id = $1", [id]);
      await query("select end_overdue_epics($1)", [stage.db.epoch]);
      assert.equal((await stage.epic(id))["state"], "active");
      await stage.plan([{ prompt: "b" }]);
      const epic = await stage.epic(id);
      assert.deepEqual([epic["state"], epic["runs"]], ["active", 2]);
    });

    it("one whose wake-up was deleted is found and woken", async () => {
      const id = await stage.file();
      await stage.plan([{ prompt: "a" }]);
      await stage.work("a");
      await query("delete from tasks where created_by = 'engine'");
      await query("select wake_idle_epics($1)", [stage.db.epoch]);
      assert.equal((await stage.wakeUps(id)).length, 1);
    });

    it("ends with its first task deleted", async () => {
      const id = await stage.file();
      await query("delete from tasks where id = $1", [id]);
      assert.equal((await query("select state from epics where id = $1", [id]))[0].state, "stopped");
    });
  });
});
