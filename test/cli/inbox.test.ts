/** `inbox`, `answer`, `first`: what people are asked, what they say, and what they want done first. */
import assert from "node:assert/strict";
import { before, beforeEach, describe, it } from "node:test";
import { eventually } from "../support/waiting.ts";
import { commandLine } from "./command-line.ts";
import { myzel, startMyzel } from "./run-myzel.ts";

const GREEN = "project-mgr-webapp";

describe("a person's inbox on the command line", () => {
  const cli = commandLine();
  before(async () => {
    await cli.db.pool.query("insert into addressees (addressee, profile) values ('anna', 'human')");
  });
  beforeEach(async () => {
    for (const table of ["tasks", "runs", "epics"]) await cli.db.pool.query(`delete from ${table}`);
  });

  const { run, refused, rows } = cli;
  const result = async (id: string) => (await rows("select result from tasks where id = $1", [id]))[0].result;
  const filed = async () => (await rows("select id from file_epic($1, 'Ship it')", [GREEN]))[0].id as string;
  /** As Green's outbox makes it. */
  const ask = async (epic: string, prompt: string, kind = "question", to = "blue") => {
    const [{ id }] = await rows(
      "insert into tasks (addressee, prompt, parent_id, created_by) values ($1, $2, $3, $4) returning id",
      [to, prompt, epic, GREEN],
    );
    await cli.db.pool.query("insert into task_options (task_id, epic, depth, kind) values ($1, $2, 1, $3)", [
      id,
      epic,
      kind,
    ]);
    return id as string;
  };

  it("inbox shows what waits, oldest first, with its epic and how to answer it", async () => {
    assert.match(await run("inbox"), /^Nothing waits for an answer\.\n$/);
    const epic = await filed();
    const question = await ask(epic, "Which one?\n\n1. Postgres\n2. SQLite");
    const approval = await ask(epic, "May myzel/dates be merged?", "approval", "anna");
    await cli.db.insert({ addressee: "worker-1" });
    const short = (id: string) => id.slice(-8);
    const text = await run("inbox");
    assert.match(
      text,
      new RegExp(
        `^${short(question)} {2}question for blue, from ${GREEN}, epic ${short(epic)} "Ship it", \\d+ s ago\\n {2}Which one\\?\\n\\n {2}1\\. Postgres\\n {2}2\\. SQLite\\n {2}→ myzel answer ${short(question)} "…"\\n\\n${short(approval)}`,
      ),
    );
    assert.match(
      text,
      new RegExp(`→ myzel answer ${short(approval)} --yes, or: myzel answer ${short(approval)} --no "Why not"\n$`),
    );
    const [first, second] = (await run("inbox", "--json"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      [first.id, first.kind, first.epic, first.epic_title, first.created_by],
      [question, "question", epic, "Ship it", GREEN],
    );
    assert.equal(second.id, approval);
    assert.equal(JSON.parse(await run("inbox", "--to", "anna", "--json")).id, approval);
  });

  it("nothing in a question reaches the terminal as a control sequence; a long one is cut", async () => {
    const nasty = "red \u001b[31malert\u001b[0m \u009b2J \u001b]0;title\u0007 \u202eback\r\u0008 end";
    await ask(
      await filed(),
      `${nasty}\n${Array.from({ length: 30 }, (_, at) => `line ${at}`).join("\n")}`,
      nasty.slice(0, 20),
    );
    const text = await run("inbox");
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    assert.match(text, /red alert.*line 18\n {2}… \(11 more lines: myzel show \w{8}\)\n/s);
  });

  it("inbox --watch without a terminal is each question once, as it comes", async () => {
    const epic = await filed();
    const first = await ask(epic, "First?");
    const watching = startMyzel(["inbox", "--watch", "--json"], { env: cli.env });
    await eventually("the first is seen", () => watching.output.stdout.includes("First?"));
    const second = await ask(epic, "Second?");
    await eventually("the second is seen", () => watching.output.stdout.includes("Second?"));
    watching.child.kill("SIGINT");
    const ran = await watching.ended;
    assert.equal(ran.code, 130, ran.stderr);
    assert.deepEqual(
      ran.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).id),
      [first, second],
    );
  });

  it("answer completes the task with a person's words, and Green is woken with them", async () => {
    const epic = await filed();
    const question = await ask(epic, "Which one?");
    assert.match(
      await run("answer", question.slice(-8), "Postgres, of course."),
      new RegExp(`^Task ${question} is answered; who asked is told\\.`),
    );
    assert.deepEqual(await result(question), { success: true, summary: "Postgres, of course." });
    const [woken] = await rows(
      "select t.addressee, t.prompt from tasks t join task_options o on o.task_id = t.id where o.kind = 'wake_up'",
    );
    assert.equal(woken.addressee, GREEN);
    assert.match(woken.prompt, /Postgres, of course\./);
    assert.deepEqual(
      await rows("select application from task_events where task_id = $1 and application = 'myzel answer'", [question]),
      [{ application: "myzel answer" }],
    );
  });

  it("the answer to a task that a person filed tells nobody", async () => {
    const id = await cli.db.insert({ addressee: "blue", prompt: "Buy milk" });
    assert.match(await run("answer", id, "Done."), new RegExp(`^Task ${id} is answered\\.\n`));
  });

  it("answer takes @last, standard input and a file's text; --yes and --no need no words", async () => {
    const epic = await filed();
    const asked = [];
    for (const prompt of ["One?", "Two?", "Three?", "Four?"]) asked.push(await ask(epic, prompt, "approval"));
    const [one, two, three, four] = asked as [string, string, string, string];
    const piped = await myzel(["answer", "@last", "-"], { env: cli.env, input: "From a pipe\n" });
    assert.equal(piped.code, 0, piped.stderr);
    assert.deepEqual(await result(four), { success: true, summary: "From a pipe\n" });
    await run("answer", one, "--yes");
    assert.deepEqual(await result(one), { success: true, summary: "Yes." });
    assert.match(await run("answer", two, "--no", "Not before the release."), /is answered with no; who asked is told/);
    assert.deepEqual(await result(two), {
      success: false,
      summary: "Not before the release.",
      code: "refused",
      error: "Not before the release.",
    });
    const json = JSON.parse(await run("answer", three, "--no", "--json"));
    assert.deepEqual([json.id, json.status, json.result.error], [three, "completed", "No."]);
  });

  it("every mistake of answer is a sentence", async () => {
    assert.match(await refused("answer", "@last", "x"), /Nothing waits for an answer/);
    const task = await cli.db.insert({ addressee: "worker-1" });
    assert.match(await refused("answer", task, "x"), /for worker-1, which is no person/);
    const question = await ask(await filed(), "Which one?");
    assert.match(await refused("answer", question, "  "), /The answer is empty: say something, or --yes or --no/);
    assert.match(await refused("answer", question, "x", "--yes", "--no"), /cannot be used with/);
    await run("answer", question, "x");
    assert.match(await refused("answer", question, "y"), /The task is completed: only a pending one can be answered/);
    assert.match(await refused("answer", "00000000", "y"), /no task whose id begins or ends with "00000000"/);
  });

  it("an approver is a person whatever the profiles say: no agent is launched to approve or to answer", async () => {
    const repo = "/srv/webapp.git";
    await cli.db.pool.query(
      "insert into projects (name, repo_url, approver, merge_policy) values ('w', $1, 'otto', 'approval')",
      [repo],
    );
    const [{ id }] = await rows("select id from file_epic('project-mgr-w', 'Ship it', $1)", [repo]);
    assert.equal(await cli.db.claimAll(), 1);
    const children = [
      { addressee: "otto", prompt: "Which one?", kind: "question" },
      { prompt: "Merge it.", kind: "merge", branch: "myzel/x" },
    ];
    await cli.db.pool.query("select create_children(t, $2, $3) from tasks t where id = $1", [
      id,
      (await cli.db.liveRun(id))?.id,
      JSON.stringify(children),
    ]);
    assert.equal(await cli.db.claimAll(), 0);
    const asked = (await run("inbox", "--json"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      asked.map(({ kind, addressee }) => [kind, addressee]),
      [
        ["question", "otto"],
        ["approval", "otto"],
      ],
    );
    await run("answer", asked[1].id, "--yes");
    assert.equal(await cli.db.claimAll(), 1, "the merge itself is an agent's");
    await cli.db.pool.query("delete from projects");
  });

  it("first moves a pending task ahead of all others of its addressee", async () => {
    const ids = [];
    for (const prompt of ["one", "two", "three"]) ids.push(await cli.db.insert({ addressee: "w", prompt }));
    const [one, , three] = ids as [string, string, string];
    assert.match(await run("first", three), new RegExp(`^Task ${three} is the first of "w" now\\.`));
    assert.equal(await cli.db.claimAll(), 1);
    assert.deepEqual([await cli.db.status(three), await cli.db.status(one)], ["running", "pending"]);
    assert.equal(JSON.parse(await run("first", one, "--json")).id, one);
    assert.match(await refused("first", three), /The task is running: only a pending one can be moved ahead/);
  });
});
