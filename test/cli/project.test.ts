/** `project`: adding, listing, changing and pausing what is known of a repository. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeEach, describe, it } from "node:test";
import { commandLine } from "./command-line.ts";
import { myzel } from "./run-myzel.ts";

const REPO = "https://git.example.org/you/webapp.git";

describe("projects on the command line", () => {
  const cli = commandLine();
  beforeEach(async () => {
    await cli.db.pool.query("delete from tasks");
    await cli.db.pool.query("delete from runs");
    await cli.db.pool.query("delete from epics");
    await cli.db.pool.query("delete from projects");
    await cli.db.pool.query("delete from project_days");
  });

  const project = (...args: string[]) => cli.run("project", ...args);
  const refused = (...args: string[]) => cli.refused("project", ...args);
  const row = async (name: string) =>
    (await cli.db.pool.query("select * from projects where name = $1", [name])).rows[0];

  it("add stores what is said and leaves the rest to the columns' defaults", async () => {
    const text = await project("add", "webapp", "--repo", REPO, "--setup", "npm ci", "--check", "npm test");
    assert.match(text, /^Project webapp is added\..*myzel epic file "The goal" --project webapp\n/);
    assert.match(text, /plan branch +myzel\/plan\n.*merges +when approved \(by default\)/s);
    const { setup_command, check_command, plan_branch, max_live_runs, approver } = await row("webapp");
    assert.deepEqual(
      [setup_command, check_command, plan_branch, max_live_runs, approver],
      ["npm ci", "npm test", "myzel/plan", null, "blue"],
    );
  });

  it("add sets every column by its option, limits of epics too", async () => {
    const all = {
      "--default-branch": ["default_branch", "trunk"],
      "--plan-branch": ["plan_branch", "plans"],
      "--merge-policy": ["merge_policy", "auto"],
      "--host-api": ["host_api", "gitlab"],
      "--host-api-url": ["host_api_url", "https://git.example.org/api/v4"],
      "--setup": ["setup_command", "make"],
      "--check": ["check_command", "make test"],
      "--green-profile": ["green_profile", "green"],
      "--red-profile": ["red_profile", "red"],
      "--credential": ["credential", "default"],
      "--approver": ["approver", "anna"],
      "--max-live-runs": ["max_live_runs", 0],
      "--max-daily-cost": ["max_daily_cost_usd", 12.5],
      "--epic-max-tasks": ["epic_max_tasks", 1],
      "--epic-max-tasks-per-run": ["epic_max_tasks_per_run", 2],
      "--epic-max-depth": ["epic_max_depth", 3],
      "--epic-max-failures": ["epic_max_failures_in_a_row", 4],
      "--epic-max-runs": ["epic_max_runs", 5],
      "--epic-max-live-runs": ["epic_max_live_runs", 6],
      "--epic-max-tokens": ["epic_max_tokens", 7],
      "--epic-max-cost": ["epic_max_cost_usd", 8.25],
      "--epic-max-wall-time": ["epic_max_wall_time", "09:00:00"],
    } as const;
    const args = Object.entries(all).flatMap(([flag, [, value]]) => [
      flag,
      value === "09:00:00" ? "9h" : String(value),
    ]);
    const added = JSON.parse(await project("add", "webapp", "--repo", REPO, ...args, "--json"));
    for (const [column, value] of Object.values(all)) assert.equal(added[column], value, column);
    const columns = Object.keys(await row("webapp")).filter(
      (name) => !["name", "repo_url", "created_at", "paused"].includes(name),
    );
    assert.deepEqual(
      columns.toSorted(),
      Object.values(all)
        .map(([column]) => column)
        .toSorted(),
      "every column has an option",
    );
    assert.equal(added.merges_by, "auto");
  });

  it("inside a checkout add takes its remote, without the login in it", async () => {
    const checkout = join(cli.directory, "checkout");
    const git = (...args: string[]) => execFileSync("git", args, { cwd: cli.directory, stdio: "pipe" });
    git("init", "-q", checkout);
    git("-C", checkout, "remote", "add", "origin", "https://me:hush@git.example.org/you/webapp.git");
    const ran = await myzel(["project", "add", "webapp", "--json"], { env: cli.env, cwd: checkout });
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(JSON.parse(ran.stdout).repo_url, REPO);
    assert.match(ran.stderr, /holds a login, which is left out/);
    assert.doesNotMatch(ran.stdout + ran.stderr, /hush/);
  });

  it("set changes only what is said; an empty value takes a setting back", async () => {
    await project(
      "add",
      "webapp",
      "--repo",
      REPO,
      "--check",
      "npm test",
      "--plan-branch",
      "plans",
      "--max-live-runs",
      "3",
    );
    await project("set", "webapp", "--merge-policy", "auto", "--max-live-runs", "4");
    let { check_command, merge_policy, max_live_runs, plan_branch } = await row("webapp");
    assert.deepEqual([check_command, merge_policy, max_live_runs, plan_branch], ["npm test", "auto", 4, "plans"]);
    const flags = ["--check", "--merge-policy", "--max-live-runs", "--plan-branch"];
    await project("set", "webapp", ...flags.flatMap((flag) => [flag, ""]));
    ({ check_command, merge_policy, max_live_runs, plan_branch } = await row("webapp"));
    assert.deepEqual([check_command, merge_policy, max_live_runs, plan_branch], [null, null, null, "myzel/plan"]);
  });

  it("every mistake is a sentence", async () => {
    await project("add", "webapp", "--repo", REPO);
    const add = (...args: string[]) => refused("add", "other", "--repo", "https://git.example.org/other", ...args);
    assert.match(
      await refused("add", "webapp", "--repo", "/srv/x.git"),
      /project "webapp" already.*project set webapp/,
    );
    assert.match(
      await refused("add", "other", "--repo", `${REPO.replace(".git", "")}/`),
      /has a project already: "webapp"/,
    );
    assert.match(
      await refused("add", "a b", "--repo", "/srv/x.git"),
      /Project "a b" cannot be stored: a project's name has letters/,
    );
    assert.match(await refused("add", "other"), /name it with --repo, or go into a checkout/);
    assert.match(await refused("add", "other", "--repo", "https://me:hush@host/x"), /carries a user name or token/);
    assert.match(await refused("add", "other", "--repo", "nowhere"), /neither a URL/);
    assert.match(await add("--default-branch", "a..b"), /default_branch "a\.\.b" is not a name/);
    assert.match(await add("--plan-branch", "-x"), /plan_branch "-x" is not a name/);
    assert.match(await add("--green-profile", "blau"), /there is no profile "blau"/);
    assert.match(await add("--red-profile", "rot"), /there is no profile "rot"/);
    assert.match(await add("--credential", "none"), /there is no credential "none"/);
    assert.match(await add("--host-api-url", "git.example.org"), /host_api_url is no URL/);
    assert.match(await add("--merge-policy", "yolo"), /pull_request, approval, auto/);
    assert.match(await add("--max-daily-cost", "free"), /US dollars/);
    assert.match(await add("--epic-max-tasks", "0"), /whole number of at least 1/);
    assert.match(await add("--epic-max-wall-time", "soon"), /30m, 12h or 7d/);
    assert.match(await add("--approver", " "), /approver is blank/);
    assert.match(await refused("set", "webapp"), /Nothing is to be changed/);
    assert.match(await refused("set", "webapp", "--repo", ""), /--repo cannot be empty/);
    for (const command of ["show", "pause", "resume"])
      assert.match(await refused(command, "nope"), /no project "nope"\. There are: webapp\./);
    assert.match(await refused("set", "nope", "--check", "x"), /no project "nope"/);
    assert.match(await refused("tidy"), /unknown command 'tidy'\n\(see "myzel project --help"\)/);
    assert.equal((await myzel(["project"], { env: cli.env })).code, 2);
  });

  it("remove forgets an idle project and says what stays; --dry-run changes nothing", async () => {
    await project("add", "webapp", "--repo", REPO, "--check", "npm test");
    const task = await cli.db.insert({ repo_url: REPO });
    const busy = await refused("remove", "webapp");
    assert.match(busy, /Project webapp has 1 pending task, which go by its settings.*myzel project pause webapp/);
    await cli.db.pool.query("select stop($1)", [task]);
    assert.match(await project("remove", "webapp", "--dry-run"), /can be removed; nothing was changed/);
    assert.ok(await row("webapp"));
    const removed = await project("rm", "webapp");
    assert.match(removed, /is removed; its tasks and epics stay.*myzel project add webapp --repo https:/);
    assert.equal(await row("webapp"), undefined);
    assert.equal(await cli.db.status(task), "completed");
    assert.match(await refused("remove", "webapp"), /There is no project "webapp"/);
  });

  it("remove is refused while an epic is active or a run live, also as --dry-run; --json is the project as it was", async () => {
    await project("add", "webapp", "--repo", REPO);
    const filed = await cli.db.pool.query("select id from file_epic('project-mgr-webapp', 'Goal', $1)", [REPO]);
    assert.equal(await cli.db.claimAll(), 1);
    for (const args of [[], ["--dry-run"]])
      assert.match(await refused("remove", "webapp", ...args), /has 1 active epic, 1 live run, which go by/);
    await cli.db.pool.query("select stop_epic($1)", [filed.rows[0].id]);
    assert.match(await refused("remove", "webapp"), /has 1 live run, which/);
    await cli.db.pool.query("update runs set finished_at = now(), success = false, failure_code = 'stopped'");
    const was = JSON.parse(await project("remove", "webapp", "--json"));
    assert.deepEqual([was.name, was.repo_url, was.dry_run], ["webapp", REPO, false]);
    assert.match(await project("ls"), /^No projects/);
  });

  it("pause holds what is not running, resume lets it go, both say how to undo it", async () => {
    await project("add", "webapp", "--repo", REPO);
    const task = await cli.db.insert({ repo_url: REPO });
    assert.match(await project("pause", "webapp"), /Nothing of project webapp starts.*myzel project resume webapp/);
    assert.equal(await cli.db.claimAll(), 0);
    assert.match(await project("list"), /^webapp +paused/m);
    assert.match(await project("resume", "webapp"), /start again.*myzel project pause webapp/);
    assert.equal(await cli.db.claimAll(), 1);
    assert.equal(await cli.db.status(task), "running");
  });

  it("list and show tell what goes on; --json has the columns' names", async () => {
    assert.match(await project("list"), /^No projects\. Add one/);
    await project("add", "webapp", "--repo", REPO, "--max-live-runs", "3", "--max-daily-cost", "5");
    await cli.db.pool.query("select file_epic('project-mgr-webapp', 'Goal', $1)", [REPO]);
    assert.equal(await cli.db.claimAll(), 1);
    // Tomorrow too: midnight may come before the commands do.
    await cli.db.pool.query(
      "insert into project_days (project, day, runs, tokens, cost_usd) select 'webapp', utc_day() + later, 2, 3, 1.25 from generate_series(0, 1) later",
    );
    const [line] = (await project("list", "--json"))
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text));
    assert.deepEqual([line.name, line.active_epics, line.live_runs, line.cost_today_usd], ["webapp", 1, 1, 1.25]);
    assert.deepEqual(JSON.parse(await project("show", "webapp", "--json")), line);
    assert.match(await project("list"), /^webapp +open +1 +1 of 3 +\$1\.25 of \$5\.00 +when approved +https:/m);
    const text = await project("show", "webapp");
    for (const part of [
      /^Project webapp\n/,
      /live runs +1 of 3/,
      /cost today +\$1\.25 of \$5\.00 at list price/,
      /epic limits +the usual ones/,
    ])
      assert.match(text, part);
  });

  it("host decides how work is merged where nobody says", async () => {
    const mergesBy = async (name: string, repo: string, ...args: string[]) =>
      JSON.parse(await project("add", name, "--repo", repo, "--json", ...args)).merges_by;
    assert.equal(await mergesBy("a", "https://github.com/you/a.git"), "pull_request");
    assert.equal(await mergesBy("b", "https://git.example.org/you/b.git"), "approval");
    assert.equal(await mergesBy("c", "https://git.example.org/you/c.git", "--host-api", "gitlab"), "pull_request");
    assert.equal(await mergesBy("d", "https://github.com/you/d.git", "--merge-policy", "auto"), "auto");
  });
});
