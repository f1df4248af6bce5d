/** Gates that many heads share: projects, epics, paths, credentials, what a day costs. Each shuts, says why, and opens. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { claimRuns } from "../../engine/store/dispatch.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const REPO = "https://host/big.git";

describe("gates", () => {
  let db: SchemaClient;
  beforeEach(async () => {
    db = await schemaClient();
    await db.pool.query("insert into projects (name, repo_url) values ('big', $1)", [REPO]);
  });
  afterEach(() => db.close());

  const set = (what: string) => db.pool.query(what);
  const project = (columns: string) => db.pool.query(`update projects set ${columns} where name = 'big'`);
  /** A task of project big for an addressee of its own, or for this one. */
  const insert = (task: Parameters<SchemaClient["insert"]>[0] = {}) =>
    db.insert({ addressee: `w-${Math.random()}`, repo_url: REPO, ...task });
  const inserted = async (count: number, options: () => Promise<string> = insert) => {
    const ids: string[] = [];
    while (ids.length < count) ids.push(await options());
    return ids as [string, ...string[]];
  };
  const statuses = (ids: readonly string[]) => Promise.all(ids.map((id) => db.status(id)));
  const running = async (ids: readonly string[]) => (await statuses(ids)).filter((one) => one === "running").length;
  const settleWith = (id: string, cost: number) =>
    db.settle(id, { action: "complete", success: true, cost_usd: cost, input_tokens: 10, output_tokens: 5 });
  const assertWaits = async (id: string, reason: string, sentence: RegExp) => {
    const why = await db.why(id);
    assert.equal(why.reason, reason, why.explanation);
    assert.match(why.explanation, sentence);
  };
  const parked = async () => (await set("select addressee from lanes where gate is not null")).rows.length;

  describe("a project", () => {
    it("that is paused starts nothing, others go on, and it goes on when resumed", async () => {
      await project("paused = true");
      const [first, second] = await inserted(2);
      const other = await insert({ repo_url: "https://host/other.git" });
      assert.equal(await db.claimAll(), 1);
      assert.equal(await db.status(other), "running");
      await assertWaits(first, "project_paused", /Project "big" is paused: "myzel project resume big"/);
      await project("paused = false");
      assert.equal((await db.why(first)).reason, "starting");
      assert.equal(await db.claimAll(), 2);
      assert.deepEqual(await statuses([first, second ?? ""]), ["running", "running"]);
    });

    it("is known by any address of its repository", async () => {
      await project("paused = true");
      const id = await insert({ repo_url: "https://host/big/" });
      assert.equal(await db.claimAll(), 0);
      assert.equal((await db.why(id)).reason, "project_paused");
    });

    it("has at most so many live runs, the oldest first, also within one claim, and its heads hold up nobody else", async () => {
      await project("max_live_runs = 2");
      const ids = await inserted(5);
      const others = await inserted(3, () => insert({ repo_url: "https://host/other.git" }));
      assert.equal(await db.claimAll(), 5);
      assert.equal(await running(others), 3);
      assert.deepEqual(await statuses(ids), ["running", "running", "pending", "pending", "pending"]);
      await assertWaits(ids[4] ?? "", "project_limit", /Project "big" has as many live runs.*\(max_live_runs 2\)/);
      await db.settle(ids[1] ?? "");
      assert.equal(await db.claimAll(), 1);
      assert.deepEqual(await statuses(ids), ["running", "completed", "running", "pending", "pending"]);
      const { rows } = await set("select distinct project from runs where repo_url = 'https://host/big.git'");
      assert.deepEqual(rows, [{ project: "big" }]);
    });

    it("starts more when its limit is raised or taken away, and nothing with limit 0", async () => {
      await project("max_live_runs = 0");
      const ids = await inserted(200);
      assert.equal(await db.claimAll(), 0);
      await project("max_live_runs = 3");
      assert.equal(await db.claimAll(), 3);
      await set("update engine_state set max_live_runs = 1000");
      await project("max_live_runs = null");
      assert.equal(await db.claimAll(), 197);
      assert.equal(await running(ids), 200);
    });

    it("that is paused, lowered or made while its heads are ready starts no more of them", async () => {
      await set("select pause()");
      const ids = await inserted(3);
      await db.claimAll();
      await project("max_live_runs = 1");
      await set("select resume()");
      assert.equal(await db.claimAll(), 1);
      await db.settle(ids[0]);
      await set("select pause()");
      await db.claimAll(); // the next one is ready now
      await project("paused = true");
      await set("select resume()");
      assert.equal(await db.claimAll(), 0);
      await set("delete from projects");
      assert.equal(await db.claimAll(), 2);
    });

    it("has a cost a day: over it nothing of it starts before midnight (UTC), or until that is raised", async () => {
      await project("max_daily_cost_usd = 3");
      const [first, second, third] = await inserted(3);
      await set("update projects set max_live_runs = 1");
      assert.equal(await db.claimAll(), 1);
      await settleWith(first, 1.25);
      assert.equal(await db.claimAll(), 1);
      await settleWith(second ?? "", 1.75);
      assert.equal(await db.claimAll(), 0); // the third one was parked while another ran: it has to learn of midnight
      await assertWaits(
        third ?? "",
        "project_cost",
        /has cost \$3\.00 today, of \$3\.00 a day .* before .* \(in \d+ (s|min|h)\)/,
      );
      const { rows } = await set(
        "select project, runs::int, tokens::int, cost_usd::float from project_days order by project",
      );
      assert.deepEqual(rows, [
        { project: "", runs: 2, tokens: 30, cost_usd: 3 },
        { project: "big", runs: 2, tokens: 30, cost_usd: 3 },
      ]);
      const { rows: lanes } = await set("select distinct wake_at = next_utc_day() as at_midnight from lanes");
      assert.deepEqual(lanes, [{ at_midnight: true }]);
      await set("update project_days set day = day - 1; update lanes set wake_at = myzel_now()"); // midnight
      assert.equal(await db.claimAll(), 1);
    });

    it("gives its heads its profile by role, and its credential", async () => {
      await set(`
        insert into credentials (name) values ('of big');
        insert into profiles (name, role) values ('big-red', 'red'), ('big-green', 'green')`);
      await project("red_profile = 'big-red', green_profile = 'big-green', credential = 'of big'");
      const ids = [
        await insert({ addressee: "r" }),
        await insert({ addressee: "project-mgr-x" }),
        await db.insert({ addressee: "plain" }),
        (await set(`select id from enqueue('own', 'p', '${REPO}', profile => 'red')`)).rows[0].id,
      ];
      const person = await insert({ addressee: "blue" });
      assert.equal(await db.claimAll(), 4);
      const { rows } = await db.pool.query(
        "select profile, credential from unnest($1::uuid[]) with ordinality i (id, n) join runs on task_id = i.id order by n",
        [ids],
      );
      assert.deepEqual(
        rows.map((row) => `${row.profile} ${row.credential}`),
        ["big-red of big", "big-green of big", "red default", "red of big"],
      );
      await assertWaits(person, "human", /answer it with myzel answer [0-9a-f-]{36} "…"/);
      await project("name = 'large', max_live_runs = 3"); // what runs is still its own
      const next = await insert();
      assert.equal(await db.claimAll(), 0);
      await assertWaits(next, "project_limit", /"large"/);
    });
  });

  describe("an epic", () => {
    const EPIC = "00000000-0000-4000-8000-000000000001";
    const inEpic = async (task: Parameters<SchemaClient["insert"]>[0] = {}) => {
      const id = await insert(task);
      await db.pool.query("insert into task_options (task_id, epic) values ($1, $2)", [id, EPIC]);
      return id;
    };
    beforeEach(() =>
      db.pool.query(
        "insert into epics (id, project, addressee, title, max_live_runs) values ($1, 'big', 'g', 'Faster', 2)",
        [EPIC],
      ),
    );

    it("has at most so many live runs, over all repositories", async () => {
      const ids = [
        await inEpic(),
        await inEpic({ repo_url: "https://host/other.git" }),
        await inEpic(),
        await inEpic(),
      ];
      const free = await insert();
      assert.equal(await db.claimAll(), 3);
      assert.deepEqual(await statuses([...ids, free]), ["running", "running", "pending", "pending", "running"]);
      await assertWaits(ids[3] ?? "", "epic_limit", /Epic "Faster" has as many live runs.*\(max_live_runs 2\)/);
      await db.settle(ids[0] ?? "");
      assert.equal(await db.claimAll(), 1);
      assert.equal(await db.status(ids[2] ?? ""), "running");
      await set("update epics set max_live_runs = 5");
      assert.equal(await db.claimAll(), 1);
    });

    it("that has ended, or is deleted, holds nothing", async () => {
      const ids = await inserted(4, inEpic);
      assert.equal(await db.claimAll(), 2);
      await set("update epics set state = 'finished', end_code = 'finished', ended_at = now()");
      assert.equal(await db.claimAll(), 2);
      await set("update epics set state = 'active', end_code = null, ended_at = null");
      const last = await inEpic();
      assert.equal(await db.claimAll(), 0);
      assert.equal((await db.why(last)).reason, "epic_limit");
      await set("delete from epics");
      assert.equal(await db.claimAll(), 1);
      assert.equal(await running([...ids, last]), 5);
    });

    it("begins with the claim of a Green's task that is in none", async () => {
      const green = await insert({ addressee: "project-mgr-web", prompt: "Make it fast\nand small" });
      const red = await insert();
      assert.equal(await db.claimAll(), 2);
      const { rows } = await db.pool.query("select id, title, project from epics where id <> $1", [EPIC]);
      assert.deepEqual(rows, [{ id: green, title: "Make it fast", project: "big" }]);
      const { rows: runs } = await db.pool.query("select task_id from runs where epic = $1", [green]);
      assert.deepEqual(runs, [{ task_id: green }]);
      assert.equal(await db.status(red), "running");
    });

    it("leaves a place of its project to others while its own are taken", async () => {
      await project("max_live_runs = 3");
      const ids = await inserted(4, inEpic);
      const free = await insert();
      assert.equal(await db.claimAll(), 3);
      assert.deepEqual(await statuses([...ids, free]), ["running", "running", "pending", "pending", "running"]);
      await project("max_live_runs = 4");
      assert.equal(await db.claimAll(), 0);
      const next = await insert();
      assert.equal(await db.claimAll(), 1);
      assert.equal(await db.status(next), "running");
    });
  });

  describe("paths", () => {
    const withPaths = async (paths: string[], task: Parameters<SchemaClient["insert"]>[0] = {}) => {
      const id = await insert(task);
      await db.pool.query("insert into task_options (task_id, paths) values ($1, $2)", [id, paths]);
      return id;
    };

    it("that lie in one another are worked on one after the other, also within one claim", async () => {
      const first = await withPaths(["./src//ui/"]);
      const second = await withPaths(["docs", "src/ui/button.ts"]);
      const apart = await withPaths(["src/uix", "src/u"]);
      const elsewhere = await withPaths(["src/ui"], { repo_url: "https://host/other.git" });
      const undeclared = await insert();
      assert.equal(await db.claimAll(), 4);
      assert.deepEqual(await statuses([first, second, apart, elsewhere, undeclared]), [
        "running",
        "pending",
        "running",
        "running",
        "running",
      ]);
      const run = await db.liveRun(first);
      await assertWaits(second, "paths", new RegExp(`Run ${run?.id} of task ${first} works on src/ui of the same`));
      const later = await withPaths(["."], { repo_url: "https://host/big" });
      assert.equal(await db.claimAll(), 0);
      assert.equal((await db.why(later)).reason, "paths");
      for (const id of [first, apart]) await db.settle(id);
      assert.equal(await db.claimAll(), 1);
      assert.equal(await db.status(second), "running");
      await db.settle(second);
      assert.equal(await db.claimAll(), 1);
    });

    it("are told apart as they should be", async () => {
      const cases: [string, string, boolean][] = [
        ["a/b", "a", true],
        ["a", "a/", true],
        ["a", "ab", false],
        ["a/./b//c", "a/b", true],
        ["src/**/*.ts", "src/x", true],
        ["*.md", "anything", true],
        ["app/[id]/page.tsx", "app/[id]", true],
        ["", "x", true],
        ["a_c", "abc/d", false],
      ];
      for (const [one, other, overlap] of cases) {
        const { rows } = await db.pool.query(
          `select overlapping_path(a, b) is not null as overlap, overlapping_path(b, a) is not null as turned
           from (select normal_paths(array[$1]) as a, normal_paths(array[$2]) as b) paths`,
          [one, other],
        );
        assert.deepEqual(rows, [{ overlap, turned: overlap }], `${one} and ${other}`);
      }
    });

    it("changed by hand count from then on", async () => {
      await withPaths(["src"]);
      const second = await withPaths(["src/a"]);
      assert.equal(await db.claimAll(), 1);
      await db.pool.query("update task_options set paths = '{docs}' where task_id = $1", [second]);
      assert.equal(await db.claimAll(), 1);
    });
  });

  describe("a credential", () => {
    it("has at most so many live runs; others go on", async () => {
      await set(`
        insert into credentials (name, max_live_runs) values ('second', 2);
        insert into profiles (name, role, addressee_pattern, credential) values ('p2', 'red', 'second-%', 'second')`);
      const ids = await inserted(4, () => insert({ addressee: `second-${Math.random()}` }));
      const other = await insert();
      assert.equal(await db.claimAll(), 3);
      assert.deepEqual(await statuses([...ids, other]), ["running", "running", "pending", "pending", "running"]);
      await assertWaits(ids[2] ?? "", "credential", /Credential "second" has as many live runs.*\(max_live_runs 2\)/);
      await db.settle(ids[0]);
      assert.equal(await db.claimAll(), 1);
      await set("update credentials set max_live_runs = null");
      assert.equal(await db.claimAll(), 1);
    });

    it("keeps its limit while places go round over the repositories", async () => {
      await set(`
        insert into credentials (name, max_live_runs) values ('second', 1);
        insert into profiles (name, role, addressee_pattern, credential) values ('p2', 'red', 'second-%', 'second');
        update engine_state set max_live_runs = 4`);
      for (const repo of ["a", "b", "c"]) {
        for (const addressee of [`second-${repo}`, `${repo}-1`, `${repo}-2`]) {
          await insert({ addressee, repo_url: `https://host/${repo}.git` });
        }
      }
      assert.equal(await db.claimAll(), 4);
      const { rows } = await set("select credential, count(*)::int from runs group by 1 order by 1");
      assert.deepEqual(rows, [
        { credential: "default", count: 3 },
        { credential: "second", count: 1 },
      ]);
    });

    it("that keeps a reserve starts nothing new while the service warns", async () => {
      await set("update credentials set warned_until = now() + interval '1 hour'");
      const first = await insert();
      assert.equal(await db.claimAll(), 1);
      await set("update credentials set keep_reserve = true");
      const second = await insert();
      assert.equal(await db.claimAll(), 0);
      assert.equal(await db.status(first), "running");
      await assertWaits(
        second,
        "credential",
        /limit of credential "default" is near.*nothing starts with it before .* \(in 60 min\)/,
      );
      await set("update credentials set warned_until = now()");
      assert.equal(await db.claimAll(), 1);
    });
  });

  it("that open by the clock alone: a claim says when to look again", async () => {
    const nextLook = async () =>
      (await claimRuns(db.engine, { epoch: db.epoch, launcher: "process", host: "h", tickets: [] })).next_look_ms ?? 0;
    const isNear = async (ms: number) => {
      const look = await nextLook();
      // A whole millisecond, rounded up, so that no look comes too early.
      assert.ok(look > ms - 60_000 && look < ms + 1, `${look} ms, not ${ms}`);
    };
    await isNear(24 * 3_600_000);
    await set("update credentials set warned_until = now() + interval '40 minutes', keep_reserve = true");
    await isNear(40 * 60_000);
    await set("update credentials set blocked_until = now() + interval '30 minutes'");
    await isNear(30 * 60_000);
    await set("update credentials set warned_until = null, blocked_until = null");
    await set("update engine_state set max_daily_cost_usd = 5");
    const { rows } = await set("select extract(epoch from next_utc_day() - myzel_now())::float8 * 1000 as ms");
    await isNear(rows[0].ms);
  });

  it("what a day may cost is spent: nothing starts before midnight (UTC), or until more is allowed", async () => {
    await set("update engine_state set max_daily_cost_usd = 5");
    const first = await db.insert({});
    assert.equal(await db.claimAll(), 1);
    await settleWith(first, 5); // to the cent
    const second = await db.insert({});
    assert.equal(await db.claimAll(), 0);
    await assertWaits(
      second,
      "cost_limit",
      /have cost \$5\.00 of \$5\.00 a day .*nothing starts before .* \(in \d+ (s|min|h)\)/,
    );
    await set("update engine_state set max_daily_cost_usd = 6");
    assert.equal(await db.claimAll(), 1);
    await settleWith(second, 1);
    const third = await db.insert({});
    assert.equal(await db.claimAll(), 0);
    await set("update project_days set day = day - 1"); // midnight
    assert.equal(await db.claimAll(), 1);
    await settleWith(third, 0);
    const { rows } = await set("select runs::int from project_days where day = utc_day()");
    assert.deepEqual(rows, [], "a run of no project that cost nothing is not counted");
  });

  describe("what is parked", () => {
    it("is woken when the head that was to start in its place is cancelled, moved or paused instead", async () => {
      await project("max_live_runs = 1");
      const ids = await inserted(4);
      assert.equal(await db.claimAll(), 1);
      for (const [index, undo] of [
        (id: string) => db.pool.query("select stop($1)", [id]),
        (id: string) => db.pool.query("update tasks set repo_url = null where id = $1", [id]),
      ].entries()) {
        await set("select pause()");
        if (index === 0) await db.settle(ids[0]);
        await db.claimAll(); // makes one head ready
        await undo(ids[index + 1] ?? "");
        await db.claimAll();
        await set("select resume()");
      }
      assert.equal(await db.claimAll(), 2); // the one that was moved out of the project, and the last one
      assert.equal(await db.status(ids[3] ?? ""), "running");
    });

    it("is woken for every credential, so that a blocked one holds up its own heads alone", async () => {
      await set(`
        insert into credentials (name) values ('second');
        insert into profiles (name, role, addressee_pattern, credential) values ('p2', 'red', 'second-%', 'second')`);
      await project("max_live_runs = 1");
      const first = await insert();
      const blocked = await inserted(3, () => insert({ addressee: `second-${Math.random()}` }));
      const free = await insert();
      assert.equal(await db.claimAll(), 1);
      await set("update credentials set blocked_until = 'infinity' where name = 'second'");
      await db.settle(first);
      assert.equal(await db.claimAll(), 1);
      assert.equal(await db.status(free), "running");
      assert.equal(await running(blocked), 0);
    });

    it("is not looked at again by claims while its gate is shut", async () => {
      await project("max_live_runs = 1");
      await set(
        `insert into tasks (addressee, prompt, repo_url) select 'w' || i, 'p', '${REPO}' from generate_series(1, 300) i`,
      );
      assert.equal(await db.claimAll(), 1);
      assert.equal(await parked(), 299);
      const before = (await set("select addressee, xmin from lanes order by 1")).rows;
      await inserted(3, () => insert({ repo_url: "https://host/other.git" }));
      assert.equal(await db.claimAll(), 3);
      const after = (await set("select addressee, xmin from lanes order by 1")).rows;
      assert.deepEqual(after, before);
    });

    it("misses no end of a run that commits while a claim parks it", async () => {
      await project("max_live_runs = 1");
      const first = await insert();
      assert.equal(await db.claimAll(), 1);
      const settler = await db.pool.connect();
      try {
        await settler.query("begin");
        const run = await db.liveRun(first);
        await settler.query("select settle_run($1, $2, $3)", [
          db.epoch,
          run?.id,
          { action: "complete", success: true },
        ]);
        const second = await insert();
        assert.equal(await db.claimAll(), 0); // the end of the run is not to be seen yet: parked
        assert.equal(await parked(), 1);
        await settler.query("commit");
        assert.equal(await db.claimAll(), 1);
        assert.equal(await db.status(second), "running");
      } finally {
        settler.release();
      }
    });

    it("is healed by a sweep where a wake-up was lost", async () => {
      await project("max_live_runs = 1");
      const [first] = await inserted(2);
      assert.equal(await db.claimAll(), 1);
      await db.settle(first);
      await set("delete from lane_changes");
      assert.equal(await db.claimAll(), 0);
      await set("select sweep_lanes()");
      assert.equal(await db.claimAll(), 1);
    });

    it("shows two of one repository that settle and start at once with no more than allowed", async () => {
      await project("max_live_runs = 3");
      await set(
        `insert into tasks (addressee, prompt, repo_url) select 'w' || i, 'p', '${REPO}' from generate_series(1, 40) i`,
      );
      let most = 0;
      for (let round = 0; round < 60; round++) {
        const { rows } = await set("select task_id from runs where finished_at is null");
        most = Math.max(most, rows.length);
        await Promise.all([db.claimAll(), ...rows.map((row) => db.settle(row.task_id))]);
      }
      const { rows } = await set("select count(*)::int as left from tasks where status <> 'completed'");
      assert.deepEqual(rows, [{ left: 0 }]);
      assert.ok(most <= 3, `${most} were live`);
    });
  });
});
