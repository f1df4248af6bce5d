/**
 * Ten epics at once on five repositories with twenty live runs, on real parts: only the CLI is a stand-in. None starves,
 * order per addressee holds, and what each was to make is on its remote.
 *
 * MYZEL_EPIC_STEPS makes it longer: steps of each epic, two unless said.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { claudeStandIn } from "../support/claude-on-path.ts";
import type { GreenPlay } from "../support/claude-stand-in.ts";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";

const EPICS = 10;
const REPOSITORIES = 5;
const LIVE = 20;
const STEPS = Number(process.env["MYZEL_EPIC_STEPS"] ?? 2);
/** Of each step: so many in parallel, and so many for the one addressee that both epics of a repository share. */
const PARALLEL = 2;
const SERIAL = 1;
const REDS = PARALLEL + SERIAL;
/** Reds and one run of Green. */
const STEP = REDS + 1;
const THINK_MS = 1000;
/** What each step takes on a machine with two cores that others use as well, many times over. */
const UNTIL_ENDED_MS = 120_000 + STEPS * 120_000;

interface Row {
  id: string;
  epic: string;
  kind: string | null;
  addressee: string;
  repo_url: string;
  prompt: string;
  result: { success: boolean; branch: string; commit_sha: string | null; attempt: number };
  created: number;
  started: number;
  completed: number;
}

/** A run is live from its claim until nothing of it is left; its slot is taken so long. */
interface Run {
  addressee: string;
  began: number;
  ended: number;
}

const NAME = "ten epics, five repositories, twenty live runs: none starves, order holds, all of it is on the remotes";

it(NAME, { timeout: UNTIL_ENDED_MS + 60_000 }, async (t) => {
  const claude = claudeStandIn();
  const remotes = Array.from({ length: REPOSITORIES }, () => bareRemote());
  const spine = await startSpine([], { environment: claude.environment, maxLiveRuns: LIVE });
  try {
    await Promise.all(Array.from({ length: EPICS }, (_, n) => fileEpic(spine, remotes, n)));
    spine.startEngine();
    await allEnded(spine);
    const tasks = await readTasks(spine);
    const runs = await readRuns(spine);
    const live = mostAtOnce(runs);
    const reds = mostAtOnce(runs.filter(({ addressee }) => addressee.startsWith("worker-")));
    const seconds = (Math.max(...runs.map(({ ended }) => ended)) - Math.min(...runs.map(({ began }) => began))) / 1000;
    const done = doneAtHalfTime(tasks);
    t.diagnostic(`${runs.length} runs in ${Math.round(seconds)} s, up to ${live} of them live, up to ${reds} Reds`);
    t.diagnostic(`tasks that each epic had done at half time: ${done.join(", ")}`);

    assert.equal(tasks.length, EPICS * (1 + STEPS * STEP) + 2, "each Red, each wake-up; a question and its answer");
    assert.equal(runs.length, tasks.length - 1, "one run a task, none for the question");
    assert.equal(live, LIVE, "runs that were live at once");
    assert.ok(Math.min(...done) >= Math.max(...done) / 2 - 1, `an epic starved: ${done.join(", ")}`);
    demandOrder(tasks, runs);
    for (const remote of remotes) demandWork(remote, tasks);
  } finally {
    await spine.close();
    for (const remote of remotes) remote.remove();
    claude.remove();
  }
});

/** The first one asks a person before it ends. */
async function fileEpic({ pool }: Spine, remotes: readonly BareRemote[], n: number): Promise<void> {
  const repository = n % REPOSITORIES;
  const play: GreenPlay = {
    ...{ role: "green", name: `epic-${n}`, steps: STEPS, asks: n === 0, thinkMs: THINK_MS },
    ...{ parallel: PARALLEL, serial: SERIAL, serialAddressee: `worker-of-${repository}` },
  };
  const goal = `Build part ${n}.\n\nPLAY ${JSON.stringify(play)}`;
  await pool.query("select file_epic($1, $2, $3)", [`project-mgr-${n}`, goal, remotes[repository]?.url]);
}

/** Waits until all have ended, and answers what is asked meanwhile. @throws Error that shows the tasks that are left */
async function allEnded({ pool }: Spine): Promise<void> {
  const open = `select t.addressee, t.status, o.kind, t.result, w.explanation
    from tasks t join task_options o on o.task_id = t.id left join why_not_running(t.id) w on true
    where t.status <> 'completed' or t.result ->> 'success' <> 'true'`;
  const look = async (): Promise<boolean> => {
    await pool.query("select answer(id, 'Yes.', true) from inbox where kind = 'question'");
    const { rows } = await pool.query(
      `select count(*) filter (where state = 'finished') as finished, count(*) filter (where state = 'failed') as failed,
         (select count(*) from runs where finished_at is null) as live from epics`,
    );
    if (Number(rows[0].failed) > 0) throw new Error("an epic has failed");
    return Number(rows[0].finished) === EPICS && Number(rows[0].live) === 0;
  };
  await eventually("all epics end", look, UNTIL_ENDED_MS).catch(async (error: Error) => {
    const { rows } = await pool.query(open);
    throw new Error(`${error.message}\n${JSON.stringify(rows, null, 1)}`, { cause: error });
  });
}

async function readTasks({ pool }: Spine): Promise<Row[]> {
  const { rows } = await pool.query<Row>(
    `select t.id, o.epic, o.kind, t.addressee, t.repo_url, t.prompt, t.result,
       extract(epoch from t.created_at)::float8 * 1000 as created,
       extract(epoch from t.started_at)::float8 * 1000 as started,
       extract(epoch from t.completed_at)::float8 * 1000 as completed
     from tasks t join task_options o on o.task_id = t.id order by t.created_at, t.id`,
  );
  return rows;
}

async function readRuns({ pool }: Spine): Promise<Run[]> {
  const { rows } = await pool.query<Run>(
    `select addressee, extract(epoch from started_at)::float8 * 1000 as began,
       extract(epoch from finished_at)::float8 * 1000 as ended
     from runs order by started_at`,
  );
  return rows;
}

function mostAtOnce(runs: readonly Run[]): number {
  const changes = runs.flatMap(({ began, ended }) => [
    { at: began, by: 1 },
    { at: ended, by: -1 },
  ]);
  let live = 0;
  return Math.max(...changes.toSorted((a, b) => a.at - b.at || a.by - b.by).map(({ by }) => (live += by)));
}

/** How much each epic has done when half of all tasks are done. */
function doneAtHalfTime(tasks: readonly Row[]): number[] {
  const work = tasks.filter(({ kind }) => kind !== "question");
  const half = work.map(({ completed }) => completed).toSorted((a, b) => a - b)[Math.floor(work.length / 2)] ?? 0;
  const epics = Object.values(Object.groupBy(work, ({ epic }) => epic));
  return epics.map((own = []) => own.filter(({ completed }) => completed <= half).length);
}

/** Tasks of one addressee ran one after the other, oldest first, and no two of its runs were live at once. */
function demandOrder(tasks: readonly Row[], runs: readonly Run[]): void {
  const lines = Object.entries(Object.groupBy(tasks, ({ addressee }) => addressee));
  assert.equal(lines.filter(([addressee]) => addressee.startsWith("worker-of-")).length, REPOSITORIES);
  for (const [addressee, line = []] of lines) {
    const perEpic = STEPS * SERIAL;
    if (addressee.startsWith("worker-of-")) assert.equal(line.length, perEpic * (EPICS / REPOSITORIES));
    for (const [at, next] of line.slice(1).entries()) {
      assert.ok(next.started >= (line[at]?.completed ?? 0), `${addressee}: "${next.prompt}" began before its turn`);
    }
    const own = runs.filter((run) => run.addressee === addressee);
    for (const [at, next] of own.slice(1).entries()) {
      assert.ok(next.began >= (own[at]?.ended ?? 0), `${addressee}: a run began while another one was live`);
    }
  }
}

/** Each Red's branch holds its one commit; the plan branch holds the whole section of each epic; `main` is as it was. */
function demandWork(remote: BareRemote, tasks: readonly Row[]): void {
  const own = tasks.filter(({ repo_url }) => repo_url === remote.url);
  assert.deepEqual(
    own.filter(({ result }) => !result.success || (result.attempt ?? 1) !== 1),
    [],
  );
  const reds = own.filter(({ kind }) => kind === "implement");
  assert.equal(reds.length, (EPICS / REPOSITORIES) * STEPS * REDS);
  for (const { prompt, result } of reds) {
    const file = /"file":"([^"]+)"/.exec(prompt)?.[1] ?? "";
    assert.equal(remote.head(result.branch), result.commit_sha);
    assert.equal(remote.git("diff", "--name-only", `main..${result.branch}`), file);
    assert.equal(remote.git("rev-list", "--count", `main..${result.branch}`), "1");
  }
  assert.equal(remote.branches().length, reds.length + 2, "a branch for each Red, main and the plan's");
  assert.equal(remote.git("rev-list", "--count", "main"), "1");

  const sections = (remote.file("myzel/plan", ".ai/plan.md") ?? "").split(/^(?=#.*<!-- epic: )/m);
  const steps = Array.from({ length: STEPS }, (_, n) => `- step ${n + 1}`);
  for (const epic of new Set(own.map((task) => task.epic))) {
    const section = sections.filter((text) => text.includes(`<!-- epic: ${epic} -->`));
    assert.equal(section.length, 1, `section of epic ${epic}`);
    const asked = own.some((task) => task.epic === epic && task.kind === "question") ? ["- asked"] : [];
    const lines = section[0]?.split("\n").filter((line) => line.startsWith("- "));
    assert.deepEqual(lines, [...steps, ...asked, "- done"]);
  }
}
