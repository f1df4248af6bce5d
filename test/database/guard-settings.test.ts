/** What people set by plain SQL is refused with a sentence that says what is allowed, and without the row. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const PROJECT = "insert into projects (name, repo_url) values";

/** Statement, and what is said of it. */
const REFUSED: readonly [string, RegExp][] = [
  ["update profiles set role = 'boss' where name = 'red'", /role must be green .*, red .* or human/],
  ["update profiles set effort = 'huge' where name = 'red'", /^Profile "red" cannot be stored: effort must be low, me/],
  ["update profiles set time_limit = null where name = 'red'", /time_limit must be an interval of at least a second/],
  ["update profiles set first_output_limit = '0 s' where name = 'red'", /first_output_limit must be an interval/],
  ["update profiles set silence_limit = '-1 s' where name = 'red'", /silence_limit must be an interval/],
  ["update profiles set max_turns = 0 where name = 'red'", /max_turns must be 1 or more, or null/],
  ["update profiles set max_cost_usd = 0 where name = 'red'", /max_cost_usd must be US dollars above zero/],
  ["update profiles set check_tries = -1 where name = 'red'", /check_tries must be 0 or more/],
  ["update profiles set credential = 'nope' where name = 'red'", /there is no credential "nope"/],
  ["update profiles set environment = '[]' where name = 'red'", /environment must be a JSON object/],
  ["update profiles set mcp_servers = '1' where name = 'red'", /mcp_servers must be a JSON object/],
  ["update profiles set pod_template = '1' where name = 'red'", /pod_template must be a JSON object/],
  ["update profiles set secrets = '1' where name = 'red'", /secrets must be a JSON object/],
  ["update profiles set skills = '1' where name = 'red'", /skills must be a JSON object/],
  ["insert into profiles (name, role) values (' ', 'red')", /it needs a name/],
  [
    "update engine_state set max_daily_cost_usd = 0",
    /^The settings of the engine cannot be stored: max_daily_cost_usd/,
  ],
  ["update engine_state set paused = null", /paused is true or false/],
  [`${PROJECT} ('a b', '/srv/x.git')`, /^Project "a b" cannot be stored: a project's name has letters/],
  [`${PROJECT} ('x', 'nowhere')`, /repo_url is neither a URL/],
  [`${PROJECT} ('x', 'https://me:hush@host/x')`, /carries a user name or token/],
  [`${PROJECT} ('x', null)`, /set repo_url/],
  ["update projects set default_branch = 'a..b'", /default_branch "a\.\.b" is not a name/],
  ["update projects set plan_branch = '-x'", /plan_branch "-x" is not a name/],
  ["update projects set plan_branch = null", /plan_branch needs a name/],
  ["update projects set merge_policy = 'yolo'", /merge_policy must be pull_request, approval or auto/],
  ["update projects set host_api = 'cvs'", /host_api must be github or gitlab/],
  ["update projects set host_api_url = 'https://me@host'", /host_api_url is no URL/],
  ["update projects set approver = ' '", /approver is blank/],
  ["update projects set green_profile = 'nope'", /there is no profile "nope"/],
  ["update projects set red_profile = 'nope'", /there is no profile "nope"/],
  ["update projects set credential = 'nope'", /there is no credential "nope"/],
  ["update projects set max_live_runs = -1", /max_live_runs must be 0 or more/],
  ["update projects set max_daily_cost_usd = 0", /max_daily_cost_usd must be US dollars/],
  ["update projects set epic_max_cost_usd = 0", /epic_max_cost_usd must be US dollars/],
  ["update projects set epic_max_wall_time = '1 s'", /epic_max_wall_time must be an interval of at least a minute/],
  ["update projects set paused = null", /paused is true or false/],
  ...["tasks", "tasks_per_run", "depth", "failures_in_a_row", "runs", "live_runs", "tokens"].flatMap(
    (limit): [string, RegExp][] => [
      [`update projects set epic_max_${limit} = 0`, new RegExp(`epic_max_${limit} must be 1 or more`)],
      [
        `update epics set max_${limit} = 0`,
        new RegExp(`^The limits of epic "Goal" .*: max_${limit} must be 1 or more`),
      ],
    ],
  ),
  ["update epics set max_cost_usd = 0", /max_cost_usd must be US dollars/],
  ["update epics set max_wall_time = '1 s'", /max_wall_time must be an interval/],
  ["select file_epic('project-mgr-a', 'x', limits => '{\"max_runs\": 0}')", /max_runs must be 1 or more/],
  ["select file_epic('project-mgr-a', 'x', limits => '{\"max_runs\": \"x\"}')", /A limit of the epic is not a number/],
  ["insert into addressees (addressee, capacity) values ('w', 10001)", /"w" .*capacity must be from 0 to 10000/],
  ["insert into addressees (addressee, capacity) values ('w', null)", /capacity must be from 0 to 10000/],
  ["insert into addressees (addressee) values ('')", /name whose tasks are meant/],
  ["insert into addressees (addressee) values (E'a\\nb')", /no control characters/],
  ["insert into addressees (addressee, profile) values ('w', 'nope')", /there is no profile "nope"/],
  ["select pause(' ')", /name whose tasks are meant/],
  ["insert into credentials (name) values ('')", /it needs a name/],
  ["insert into credentials (name, env_var, file_path) values ('c', 'A', '/b')", /the secret lies in one place/],
  ["insert into credentials (name, file_path) values ('c', 'b')", /file_path must begin with \//],
  ["insert into credentials (name, secret_name) values ('c', 'b')", /secret_name and secret_key go together/],
  ["insert into credentials (name, secret_name, secret_key) values ('c', 'B', 'k')", /no possible Secret and key/],
  ["update credentials set max_live_runs = -1", /max_live_runs must be 0 or more/],
  ["update credentials set keep_reserve = null", /keep_reserve is true or false/],
  ["select enqueue('a', 'b', effort => 'huge')", /"huge" is no effort: use low/],
  ["select enqueue('a', 'b', idempotency_key => ' ')", /The idempotency key is blank/],
];

describe("settings by plain SQL", () => {
  let db: SchemaClient;
  let operator: pg.Client;
  before(async () => {
    db = await schemaClient();
    operator = new pg.Client({ connectionString: db.test.url("operator") });
    await operator.connect();
    await operator.query(`${PROJECT} ('shop', '/srv/shop.git')`);
    await operator.query("select file_epic('project-mgr-shop', 'Goal', '/srv/shop.git')");
  });
  after(async () => {
    await operator.end();
    await db.close();
  });
  const refused = async (statement: string): Promise<pg.DatabaseError> => {
    const error: unknown = await operator.query(statement).then(
      () => null,
      (problem: unknown) => problem,
    );
    assert.ok(error instanceof pg.DatabaseError, `it was taken: ${statement}`);
    return error;
  };

  for (const [statement, sentence] of REFUSED) {
    it(statement, async () => {
      const { code, message, detail } = await refused(statement);
      assert.match(message, sentence);
      assert.match(message, /\.$/);
      assert.deepEqual([code, detail], ["MZ002", undefined]);
    });
  }

  it("every mistake of a row is told at once", async () => {
    const { message } = await refused(`${PROJECT} ('a b', 'nowhere')`);
    assert.match(message, /a project's name has letters.* repo_url is neither a URL/);
  });

  it("a value that may be the secret itself is not repeated", async () => {
    const { message, detail } = await refused(
      "insert into credentials (name, env_var) values ('c', 'sk-ant-oat01-hush')",
    );
    assert.match(message, /Name the variable, never the value/);
    assert.doesNotMatch(`${message}${detail ?? ""}`, /hush/);
  });

  it("every check of these tables has its sentence", async () => {
    const { rows } = await db.pool.query(
      `select conname from pg_constraint
       where contype = 'c' and conname <> 'engine_state_one_row' and conrelid in
         ('profiles'::regclass, 'projects'::regclass, 'credentials'::regclass, 'addressees'::regclass,
          'engine_state'::regclass)
       order by conname`,
    );
    const known = rows.map((row) => row.conname);
    // A new one needs a line in *_problem() and one above.
    assert.equal(known.length, 22, known.join(", "));
  });

  it("what fits is taken, and what the engine writes is not judged anew", async () => {
    await operator.query("insert into credentials (name, file_path) values ('team', '/home/me/token')");
    await operator.query("insert into addressees (addressee, capacity) values ('worker', 0)");
    await operator.query("update projects set max_live_runs = 0, host_api = 'gitlab', credential = 'team'");
    await operator.query("update epics set max_runs = 1, max_tokens = null");
    const { rows } = await db.pool.query(
      `select tgrelid::regclass::text as at from pg_trigger where tgname like '%\\_guard' and cardinality(tgattr) > 0 order by 1`,
    );
    assert.deepEqual(
      rows.map((row) => row.at),
      ["credentials", "engine_state", "epics"],
    );
  });
});
