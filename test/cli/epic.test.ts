/** `epic`: filing, listing, showing, watching and stopping. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, it } from "node:test";
import { findProgram } from "../../engine/cli/find-program.ts";
import { eventually } from "../support/waiting.ts";
import { commandLine } from "./command-line.ts";
import { myzel, ROOT, startMyzel, startProgram } from "./run-myzel.ts";

const REPO = "https://git.example.org/you/webapp.git";
const GREEN = "project-mgr-webapp";

describe("epics on the command line", () => {
  const cli = commandLine();
  beforeEach(async () => {
    for (const table of ["tasks", "runs", "epics", "projects"]) await cli.db.pool.query(`delete from ${table}`);
    await cli.db.pool.query("insert into projects (name, repo_url, epic_max_tasks) values ('webapp', $1, 40)", [REPO]);
  });

  const epic = (...args: string[]) => cli.run("epic", ...args);
  const refused = (...args: string[]) => cli.refused("epic", ...args);
  const { rows } = cli;
  const filed = async (goal = "Dates are parsed in every locale") =>
    (await rows("select id from file_epic($1, $2, $3)", [GREEN, goal, REPO]))[0].id as string;
  /** A task of the epic as an agent's outbox makes it. */
  const child = async (
    epicId: string,
    parent: string,
    prompt: string,
    options: { kind?: string; to?: string } = {},
  ) => {
    const [{ id }] = await rows(
      `insert into tasks (addressee, prompt, repo_url, branch, parent_id, created_by)
       values ($1, $2, $3, 'myzel/x', $4, $5) returning id`,
      [options.to ?? "worker-1", prompt, REPO, parent, GREEN],
    );
    await cli.db.pool.query(
      "insert into task_options (task_id, epic, depth, kind, step) values ($1, $2, 1, $3, 'parse')",
      [id, epicId, options.kind ?? "implement"],
    );
    return id;
  };

  it("file takes Green and repository from the project, limits from the options, the project, then the defaults", async () => {
    const text = await epic(
      "file",
      "Dates are parsed\nin every locale",
      "--project",
      "webapp",
      "--max-runs",
      "7",
      "--max-wall-time",
      "12h",
    );
    assert.match(
      text,
      /^Epic ([0-9a-f-]{36}) is filed\.\n +title +Dates are parsed\n +project +webapp\n +Green +project-mgr-webapp\n/,
    );
    assert.match(text, /Watch it with: myzel epic show [0-9a-f]{8} --watch\n$/);
    const [row] = await rows("select e.*, max_wall_time::text as wall, t.prompt from epics e join tasks t using (id)");
    assert.deepEqual(
      [row.title, row.addressee, row.repo_url, row.project, row.prompt],
      ["Dates are parsed", GREEN, REPO, "webapp", "Dates are parsed\nin every locale"],
    );
    assert.deepEqual([row.max_runs, row.wall, row.max_tasks, row.max_depth], [7, "12:00:00", 40, 3]);
  });

  it("file finds the project by the checkout or by --repo; --to names another Green; --json is the epic's row", async () => {
    const checkout = join(cli.directory, "checkout");
    execFileSync("git", ["init", "-q", checkout]);
    execFileSync("git", ["-C", checkout, "remote", "add", "origin", REPO]);
    const inCheckout = await myzel(["epic", "file", "-", "--json"], { env: cli.env, cwd: checkout, input: "A goal\n" });
    assert.equal(inCheckout.code, 0, inCheckout.stderr);
    const row = JSON.parse(inCheckout.stdout);
    assert.deepEqual([row.addressee, row.repo_url, row.project, row.state], [GREEN, REPO, "webapp", "active"]);
    const columns = (await cli.db.pool.query("select * from epics limit 0")).fields.map((field) => field.name);
    assert.deepEqual(Object.keys(row).toSorted(), columns.toSorted());
    const byRepo = JSON.parse(await epic("file", "A goal", "--repo", REPO.replace(".git", ""), "--json"));
    assert.deepEqual([byRepo.addressee, byRepo.project], [GREEN, "webapp"]);
    const other = JSON.parse(
      await epic("file", "A goal", "--to", "project-mgr-x", "--no-repo", "--title", "T", "--json"),
    );
    assert.deepEqual([other.addressee, other.repo_url, other.project, other.title], ["project-mgr-x", null, null, "T"]);
  });

  it("the same --key files it once; --dry-run stores nothing and judges all the same", async () => {
    const args = ["file", "A goal", "--project", "webapp"];
    const first = /Epic (\S+) is filed/.exec(await epic(...args, "--key", "k"))?.[1];
    assert.match(await epic(...args, "--key", "k"), new RegExp(`Epic ${first} was filed with this key before`));
    await writeFile(join(cli.directory, "goal.md"), "From a file");
    const dry = await epic("file", "--file", join(cli.directory, "goal.md"), "--project", "webapp", "--dry-run");
    assert.match(dry, /^Nothing is stored; this would be filed:\n +title +From a file\n/);
    const object = JSON.parse(await epic(...args, "--dry-run", "--json", "--max-cost", "2.5"));
    assert.deepEqual([object.id, object.max_cost_usd, object.max_tasks], [undefined, 2.5, 40]);
    assert.match(await refused(...args, "--dry-run", "--to", "worker-1"), /"worker-1" is no Green/);
    assert.equal((await rows("select from epics")).length, 1);
  });

  it("every mistake of file is a sentence", async () => {
    assert.match(await refused("file", "x", "--project", "nope"), /no project "nope"\. There are: webapp/);
    assert.match(await refused("file", "x"), /For which project\? Name it with --project/);
    assert.match(
      await refused("file", "x", "--repo", "/srv/other.git"),
      /no project of \/srv\/other\.git: add it with myzel project add/,
    );
    assert.match(await refused("file", "x", "--no-repo"), /name a Green with --to/);
    assert.match(await refused("file", "x", "--repo", REPO, "--project", "webapp"), /cannot be used with/);
    assert.match(await refused("file", "x", "--to", "worker-1", "--repo", REPO), /"worker-1" is no Green/);
    assert.match(await refused("file", " ", "--project", "webapp"), /The goal is empty: say what is to be reached/);
    assert.match(
      await refused("file", "--file", "/nowhere", "--project", "webapp"),
      /goal cannot be read from \/nowhere/,
    );
    assert.match(await refused("file", "x", "--project", "webapp", "--max-tasks", "0"), /at least 1/);
    assert.match(await refused("file", "x", "--project", "webapp", "--max-wall-time", "1w"), /30m, 12h or 7d/);
    assert.equal((await rows("select from tasks")).length, 0);
  });

  it("list shows the active ones newest first, with --all those that have ended too", async () => {
    assert.match(await epic("list"), /^No active epics; .*epic list --all/);
    const [first, second] = [await filed("First"), await filed("Second")];
    await child(second, second, "Write it");
    await cli.db.pool.query("select end_epic($1, 'failed', 'max_tasks', 'Too many.', true)", [first]);
    const table = (await epic("list")).trimEnd().split("\n");
    assert.match(table[0] ?? "", /^ID +STATE +PROJECT +AGE +DONE +LIVE +COST +TITLE +WAITS FOR/);
    assert.equal(table.length, 2);
    assert.match(
      table[1] ?? "",
      new RegExp(`^${second.slice(-8)} +active +webapp +\\d+ s +0 of 2 +0 +\\$0\\.00 +Second +\\S`),
    );
    assert.match(await epic("list", "--all"), new RegExp(`^${first.slice(-8)} +failed max_tasks .*Too many\\.`, "m"));
    const objects = (await epic("list", "--all", "--json"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      objects.map(({ id, state, pending, end_code, max_wall_time }) => [id, state, pending, end_code, max_wall_time]),
      [
        [second, "active", 2, null, "7 days"],
        [first, "failed", 0, "max_tasks", "7 days"],
      ],
    );
  });

  it("show tells what it waits for, what is spent, its plan and its tasks as a tree", async () => {
    const id = await filed("Dates\n\nin every locale");
    const first = await child(id, id, "Write the parser");
    const inner = await child(id, first, "Look it up", { to: "project-mgr-docs" });
    await child(id, inner, "Read", { to: "worker-2" });
    await child(id, inner, "You are woken", { kind: "wake_up", to: "project-mgr-docs" });
    const woken = await child(id, id, "You are woken", { kind: "wake_up", to: GREEN });
    await child(id, woken, "Review it", { kind: "review" });
    await cli.db.pool.query("update tasks set status = 'completed', result = $2 where id = $1", [
      first,
      { success: false, code: "checks_failed", branch: "myzel/dates" },
    ]);
    await cli.db.pool.query(
      `update epics set tasks = 2, runs = 3, tokens = 1234567, cost_usd = 3.4, max_cost_usd = 10, plan_branch = 'myzel/plan',
         plan_commit = '0123456789abcdef', started_at = clock_timestamp() - interval '3 hours' where id = $1`,
      [id],
    );
    await cli.db.pool.query(
      "insert into epic_notes (epic, addressee, note) values ($1, $2, 'One too many was refused.')",
      [id, GREEN],
    );
    const text = await epic("show", id.slice(-12));
    for (const part of [
      new RegExp(`^Epic ${id}\\n +title +Dates\\n +state +active for \\d+ s\\n +project +webapp`),
      /plan +\.ai\/plan\.md on myzel\/plan at 0123456789\n/,
      /waits for +\S/,
      /\nGoal\n {2}Dates\n\n {2}in every locale\n/,
      /tasks +2 of 40 \(at most 10 by one run, 3 deep\)\n +runs +3 of 300 \(0 live, at most 10\)\n +tokens +1,234,567 \(no limit\)\n +cost +\$3\.40 of \$10\.00 at list price\n +wall time +3 h of 7 days\n/,
      /\nTasks \(1 of 7 tasks done \(1 failed\), 0 running\)\n/,
      /Told to Green\n {2}\S+ \S+ UTC {2}One too many was refused\.\n/,
    ])
      assert.match(text, part);
    const tree = text
      .slice(text.indexOf("  ID "))
      .split("\n")
      .slice(1, 8)
      .map((line) => line.trim());
    const shapes = tree.map((line) => /^[├└─│ ]*/.exec(line)?.[0]);
    assert.deepEqual(
      shapes,
      ["", "└─ ", "└─ ", "├─ ", "└─ ", "", "└─ "].map((shape, at) => (at < 2 ? shape : shapes[at])),
    );
    assert.match(tree[0] ?? "", new RegExp(`^${id.slice(-8)} +pending`));
    assert.match(
      tree[1] ?? "",
      new RegExp(`^└─ ${first.slice(-8)} +failed checks_failed +implement +worker-1 +myzel/dates`),
    );
    assert.match(tree[2] ?? "", new RegExp(`^└─ ${inner.slice(-8)} +pending`));
    assert.match(tree[3] ?? "", /^├─ \w{8} .*parse: Read/);
    assert.match(tree[4] ?? "", /^└─ \w{8} +pending +wake_up +project-mgr-docs/);
    assert.match(tree[5] ?? "", new RegExp(`^${woken.slice(-8)} +pending +wake_up +project-mgr-webapp`));
    assert.match(tree[6] ?? "", /^└─ \w{8} +pending +review/);
  });

  it("show --json is one object with its tasks and notes; ids may be short; a wrong one says so", async () => {
    const id = await filed();
    await child(id, id, "Write it");
    const shown = JSON.parse(await epic("show", "@last", "--json"));
    assert.deepEqual(
      [shown.id, shown.state, shown.pending, shown.prompt, shown.max_wall_time],
      [id, "active", 2, "Dates are parsed in every locale", "7 days"],
    );
    assert.deepEqual(
      shown.task_list.map((task: Record<string, unknown>) => [task["kind"], task["status"], task["parent_id"]]),
      [
        [null, "pending", null],
        ["implement", "pending", id],
      ],
    );
    assert.deepEqual(shown.notes, []);
    assert.match(await refused("show", "00000000"), /no epic whose id begins or ends with "00000000"/);
    assert.match(await refused("show", "xyz"), /"xyz" is no epic id/);
    const task = JSON.parse((await myzel(["show", shown.task_list[1].id, "--json"], { env: cli.env })).stdout);
    assert.deepEqual([task.options.epic, task.options.step, task.options.depth], [id, "parse", 1]);
    assert.match(
      (await myzel(["show", shown.task_list[1].id], { env: cli.env })).stdout,
      new RegExp(`epic +${id}\\n +step +parse`),
    );
  });

  it("show prints the epic's plan inside a checkout that has it, and says how to get it where not", async () => {
    const id = await filed();
    const checkout = join(cli.directory, "with-plan");
    const git = (...args: string[]) => execFileSync("git", ["-C", checkout, ...args], { encoding: "utf8" }).trim();
    execFileSync("git", ["init", "-q", checkout]);
    git("remote", "add", "origin", `${REPO}/`);
    await mkdir(join(checkout, ".ai"));
    const plan = `# Plans\n\n## Other <!-- epic: 00000000-0000-4000-8000-000000000000 -->\nnot ours\n\n## Dates <!-- epic: ${id} -->\n1. \u001b[31mWrite the parser\n`;
    await writeFile(join(checkout, ".ai", "plan.md"), plan);
    git("add", ".");
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "plan");
    const planned = async (commit: string) => {
      await cli.db.pool.query("update epics set plan_branch = 'myzel/plan', plan_commit = $2 where id = $1", [
        id,
        commit,
      ]);
      const ran = await myzel(["epic", "show", id], { env: cli.env, cwd: checkout });
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout;
    };
    const text = await planned(git("rev-parse", "HEAD"));
    assert.ok(text.endsWith(`\nPlan\n  ## Dates <!-- epic: ${id} -->\n  1. Write the parser\n`), text);
    assert.match(
      await planned("0".repeat(40)),
      /\nPlan\n {2}It is not in your checkout yet; get it with: git fetch origin myzel\/plan\n$/,
    );
    assert.doesNotMatch(await epic("show", id), /\nPlan\n/, "outside of a checkout");
  });

  it("nothing in agents' text reaches the terminal as a control sequence", async () => {
    const nasty = "red \u001b[31malert\u001b[0m \u009b2J \u001b]0;title\u0007 \u202eback\r\u0008 end";
    const id = await filed(`${nasty}\n${nasty}`);
    await child(id, id, nasty);
    await cli.db.pool.query("insert into epic_notes (epic, addressee, note) values ($1, 'g', $2)", [id, nasty]);
    await cli.db.pool.query("update epics set plan_branch = $2, plan_commit = $2 where id = $1", [id, nasty]);
    await cli.db.pool.query("select end_epic($1, 'failed', $2, $2, true)", [id, nasty]);
    for (const args of [
      ["list", "--all"],
      ["show", id],
      ["show", id, "--watch"],
    ])
      assert.doesNotMatch(
        await epic(...args),
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/,
        args.join(" "),
      );
    assert.match(await epic("show", id), /red alert/);
  });

  it("stop ends it with everything under it; one that has ended stays as it is", async () => {
    const id = await filed();
    const task = await child(id, id, "Write it");
    assert.match(
      await epic("stop", "@last", "--reason", "another goal"),
      new RegExp(`Epic ${id} is stopped: what was pending is cancelled`),
    );
    assert.deepEqual([await cli.db.status(id), await cli.db.status(task)], ["completed", "completed"]);
    const [row] = await rows("select state, end_code, summary from epics");
    assert.deepEqual(row, { state: "stopped", end_code: "stopped", summary: "another goal" });
    assert.match(await epic("stop", id), /had ended already \(stopped\); nothing was changed/);
    assert.equal(JSON.parse(await epic("stop", id, "--json")).summary, "another goal");
    assert.deepEqual(
      await rows("select distinct application from task_events where task_id = $1 and event = 'cancelled'", [task]),
      [{ application: "myzel epic stop" }],
    );
  });

  it("--wait follows it to its end: exit code 0 where it is finished, 1 where not; with --json one object", async () => {
    const wait = async (args: string[], state: string) => {
      const waiting = startMyzel(["epic", "file", "A goal", "--project", "webapp", "--wait", ...args], {
        env: cli.env,
      });
      await eventually("it is seen", () => /active: 0 of 1 tasks done, 0 running\. \S/.test(waiting.output.stderr));
      const [{ id }] = await rows("select id from epics where state = 'active'");
      await cli.db.pool.query("select end_epic($1, $2, $2, 'All of it.', true)", [id, state]);
      return await waiting.ended;
    };
    const finished = await wait([], "finished");
    assert.equal(finished.code, 0, finished.stderr);
    assert.match(finished.stdout, /Epic \S+ finished: 1 of 1 tasks done .*\n {2}All of it\.\n$/);
    const failed = await wait(["--json"], "failed");
    assert.equal(failed.code, 1);
    const shown = JSON.parse(failed.stdout);
    assert.deepEqual([shown.state, shown.summary, shown.task_list.length], ["failed", "All of it.", 1]);
  });

  it("Ctrl-C while waiting or watching leaves the epic going", async () => {
    const waiting = startMyzel(["epic", "file", "A goal", "--project", "webapp", "--wait"], { env: cli.env });
    await eventually("it is seen", () => waiting.output.stderr.includes("active: "));
    waiting.child.kill("SIGINT");
    const ran = await waiting.ended;
    assert.equal(ran.code, 130);
    assert.match(ran.stderr, /epic \S+ goes on\. See it with: myzel epic show/);
    const watching = startMyzel(["epic", "list", "--watch"], { env: cli.env });
    await eventually("it is seen", () => watching.output.stdout.includes("A goal"));
    watching.child.kill("SIGINT");
    assert.equal((await watching.ended).code, 130);
    assert.equal((await rows("select from epics where state = 'active'")).length, 1);
  });

  it("show --watch without a terminal is a line for each change, and ends with the epic", async () => {
    const id = await filed();
    const watching = startMyzel(["epic", "show", id, "--watch"], { env: cli.env });
    const objects = startMyzel(["epic", "show", id, "--watch", "--json"], { env: cli.env });
    await eventually("both have seen it", () => watching.output.stdout !== "" && objects.output.stdout !== "");
    const task = await child(id, id, "Write it");
    await eventually("the task is seen", () =>
      [watching, objects].every(({ output }) => output.stdout.includes("Write it")),
    );
    await cli.db.pool.query("select end_epic($1, 'finished', 'finished', 'Done.', true)", [id]);
    const [lines, json] = await Promise.all([watching.ended, objects.ended]);
    assert.deepEqual([lines.code, json.code], [0, 0], lines.stderr + json.stderr);
    const short = (of: string) => of.slice(-8);
    assert.deepEqual(lines.stdout.trimEnd().split("\n"), [
      `${short(id)} pending: Dates are parsed in every locale (${GREEN})`,
      `${short(task)} pending: Write it (implement, worker-1, myzel/x)`,
      `${short(id)} failed stopped: Dates are parsed in every locale (${GREEN})`,
      `${short(task)} failed stopped: Write it (implement, worker-1, myzel/x)`,
      `Epic ${id} finished: 2 of 2 tasks done (2 failed), 0 running, $0.00 at list price.`,
      "  Done.",
    ]);
    const states = json.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .map((one) => [one.state, one.task_list.length]);
    assert.deepEqual(states, [
      ["active", 1],
      ["active", 2],
      ["finished", 2],
    ]);
  });

  it(
    "show --watch on a terminal draws a second screen anew and leaves the end on the first",
    { skip: findProgram("script") === null && "script is not installed" },
    async () => {
      const id = await filed();
      const command = `${join(ROOT, "bin", "myzel")} epic show ${id} --watch`;
      const ended = startProgram("script", ["-qec", command, "/dev/null"], { env: { ...cli.env, TERM: "xterm" } });
      await eventually("it is drawn", () => ended.output.stdout.includes("\u001b[?1049h\u001b[?7l\u001b[HEpic "));
      await child(id, id, "Write it");
      await eventually("it is drawn anew", () => ended.output.stdout.includes("Write it"));
      await cli.db.pool.query("select end_epic($1, 'finished', 'finished', 'Done.', true)", [id]);
      const ran = await ended.ended;
      assert.equal(ran.code, 0, ran.stdout);
      const [screen, after] = ran.stdout.replaceAll("\r", "").split("\u001b[?7h\u001b[?1049l");
      assert.match(screen ?? "", /\u001b\[HEpic .*\u001b\[K\n.*\n\u001b\[J/s);
      assert.match(after ?? "", new RegExp(`^Epic ${id}\n[^\u001b]*How it ended\n {2}Done\\.\n$`));
    },
  );

  it("show --watch --exit-status ends with 1 where the epic is not finished", async () => {
    const stopped = await filed();
    await cli.db.pool.query("select stop_epic($1)", [stopped]);
    const code = async (...args: string[]) => (await myzel(["epic", "show", ...args], { env: cli.env })).code;
    assert.equal(await code(stopped, "--watch"), 0);
    assert.equal(await code(stopped, "-w", "--exit-status"), 1);
    const finished = await filed();
    await cli.db.pool.query("select end_epic($1, 'finished', 'finished', 'Done.', true)", [finished]);
    assert.equal(await code(finished, "-w", "--exit-status"), 0);
    assert.equal(await code(finished, "--exit-status"), 2);
  });

  it("list --watch keeps what ends while it is watched", async () => {
    const id = await filed();
    const watching = startMyzel(["epic", "list", "--watch", "--json"], { env: cli.env });
    await eventually("it is seen", () => watching.output.stdout.includes('"active"'));
    await cli.db.pool.query("select end_epic($1, 'finished', 'finished', 'Done.', true)", [id]);
    await eventually("its end is seen", () => watching.output.stdout.includes('"finished"'));
    watching.child.kill("SIGINT");
    const ran = await watching.ended;
    assert.deepEqual(
      ran.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).state),
      ["active", "finished"],
    );
  });
});
