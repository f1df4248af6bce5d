/**
 * What people do with epics, at random and over connections that break: filing them with limits of all kinds, stopping
 * them, editing their tasks and wake-ups by hand, raising limits, answering questions, pausing projects. Notes what a
 * project could have live when.
 */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { isConnectionError, untilCertain } from "./filing.ts";
import type { Filed } from "./filing.ts";
import { OF_ONE_TASK } from "./hand-edits.ts";
import type { CapacitySpan } from "./hand-edits.ts";
import type { Random } from "./random.ts";

export interface EpicLife {
  /** Files one epic, for certain. */
  file(): Promise<void>;
  /** Makes one edit; nothing where none fits. Refusals that are right are edits too. */
  edit(): Promise<void>;
  /** Projects start again what they held back. */
  openGates(): Promise<void>;
  /** How many live runs a project could have; none while it was paused. */
  readonly projects: Map<string, CapacitySpan[]>;
  readonly counts: Map<string, number>;
  readonly broken: string[];
  readonly epics: readonly string[];
}

const GREENS = Array.from({ length: 8 }, (_, index) => `project-mgr-${index + 1}`);
const PROJECTS = ["three", "four"];
const REPOSITORIES = [null, "file:///srv/git/three.git", "file:///srv/git/four.git"];

const WEIGHTS = {
  answer: 60,
  stop_epic: 2,
  raise_limits: 2,
  cancel_pending: 3,
  delete_pending: 3,
  delete_running: 1,
  delete_completed: 2,
  stop_running: 3,
  complete_running: 2,
  running_to_pending: 3,
  reschedule_completed: 3,
  project: 4,
  open_projects: 5,
} as const;
type EditName = keyof typeof WEIGHTS;

/** The projects that epics belong to: one asks before it merges, limits of their epics differ. */
export async function prepareProjects(admin: pg.Pool): Promise<void> {
  await admin.query(
    `insert into projects (name, repo_url, merge_policy, epic_max_tasks, epic_max_failures_in_a_row)
     values ('three', 'file:///srv/git/three.git', 'approval', 7, null),
       ('four', 'file:///srv/git/four.git', 'auto', null, 2)`,
  );
}

/** @param filed where the epics' first tasks are noted, so that they are edited and judged as all others are */
export function epicLife(people: pg.Pool, filed: Map<string, Filed>, random: Random): EpicLife {
  const epics: string[] = [];
  const counts = new Map<string, number>();
  const broken: string[] = [];
  const projects = new Map(PROJECTS.map((name) => [name, [{ capacity: Infinity, from: -Infinity, until: Infinity }]]));

  const file = async (): Promise<void> => {
    const idempotencyKey = randomUUID();
    const values = [random.pick(GREENS), random.pick(REPOSITORIES), idempotencyKey, JSON.stringify(someLimits(random))];
    const once = () =>
      untilCertain(async () => {
        const { rows } = await people.query(
          "select id, addressee from file_epic($1, 'Build it.', $2, idempotency_key => $3, limits => $4)",
          values,
        );
        return rows[0] as { id: string; addressee: string };
      });
    const first = await once();
    const second = random.chance(0.3) ? await once() : first;
    if (first.id !== second.id && !(await wasDeleted(people, first.id)))
      broken.push(`one idempotency key made the epics ${first.id} and ${second.id}`);
    epics.push(first.id);
    const { rows } = await untilCertain(() =>
      people.query("select (extract(epoch from created_at) * 1000000)::bigint::text as key from tasks where id = $1", [
        first.id,
      ]),
    );
    const { addressee } = first;
    const placements = rows.map(({ key }) => ({ addressee, key: Number(key), from: Date.now(), until: Infinity }));
    filed.set(first.id, { id: first.id, placements });
  };

  const ofOneTask = async (status: string, statement: string): Promise<boolean> => {
    const { rows } = await people.query(
      `select t.id from task_options o join tasks t on t.id = o.task_id
       where o.epic is not null and t.status = $1 order by random() limit 1`,
      [status],
    );
    if (rows.length === 0) return false;
    await people.query(statement, [rows[0].id]);
    return true;
  };

  const setProject = async (name: string, paused: boolean, most: number | null): Promise<void> => {
    const spans = projects.get(name) ?? [];
    const span = { capacity: paused ? 0 : (most ?? Infinity), from: Date.now(), until: Infinity };
    spans.push(span);
    await untilCertain(() =>
      people.query("update projects set paused = $2, max_live_runs = $3 where name = $1", [name, paused, most]),
    );
    for (const earlier of spans) if (earlier !== span) earlier.until = Math.min(earlier.until, Date.now());
  };

  const make = async (name: EditName): Promise<boolean> => {
    const ofTask = (OF_ONE_TASK as Partial<Record<string, { status: string; statement: string }>>)[name];
    if (ofTask !== undefined) return await ofOneTask(ofTask.status, ofTask.statement);
    switch (name) {
      case "answer":
        return await answerOne(people, random.chance(0.7));
      case "stop_epic": {
        const { rowCount } = await people.query(
          "select stop_epic(id, 'not needed') from (select id from epics where state = 'active' order by random() limit 1) e",
        );
        return rowCount === 1;
      }
      case "raise_limits":
        await people.query(
          `update epics set max_tasks = max_tasks + 2, max_runs = max_runs + 5
           where id = (select id from epics where state = 'active' order by random() limit 1)`,
        );
        return true;
      case "project":
        await setProject(random.pick(PROJECTS), random.chance(0.4), random.pick([null, 1, 2, 4]));
        return true;
      default:
        for (const project of PROJECTS) await setProject(project, false, random.pick([null, 2, 5]));
        return true;
    }
  };

  return {
    file,
    projects,
    counts,
    broken,
    epics,
    openGates: async () => {
      for (const project of PROJECTS) await setProject(project, false, random.pick([null, 3]));
    },
    edit: async () => {
      const name = random.weighted(WEIGHTS);
      try {
        if (!(await make(name))) return;
      } catch (error) {
        const { code = "", message } = error as { code?: string; message: string };
        if (!isConnectionError(error) && !code.startsWith("MZ"))
          broken.push(`${name} of an epic failed: ${code} ${message}`);
        return;
      }
      counts.set(`epic ${name}`, (counts.get(`epic ${name}`) ?? 0) + 1);
    },
  };
}

/** With its task the key is gone, too. */
async function wasDeleted(people: pg.Pool, id: string): Promise<boolean> {
  const { rowCount } = await untilCertain(() =>
    people.query("select from task_events where task_id = $1 and event = 'deleted'", [id]),
  );
  return (rowCount ?? 0) > 0;
}

/** A person answers, by a plain UPDATE; returns whether anything was asked. */
export async function answerOne(people: pg.Pool, success: boolean): Promise<boolean> {
  const { rowCount } = await people.query(
    `update tasks set status = 'completed', result = $1
     where id = (select id from inbox order by random() limit 1) and status = 'pending'`,
    [{ success, summary: success ? "Yes." : "No." }],
  );
  return rowCount === 1;
}

/** Small enough that many epics end by one of them. */
function someLimits(random: Random): Record<string, number | string> {
  const maybe = (chance: number, limits: Record<string, number | string>) => (random.chance(chance) ? limits : {});
  return {
    max_runs: random.between(4, 30),
    ...maybe(0.6, { max_tasks: random.between(1, 12) }),
    ...maybe(0.5, { max_tasks_per_run: random.between(1, 3) }),
    ...maybe(0.7, { max_depth: random.between(1, 2) }),
    ...maybe(0.6, { max_failures_in_a_row: random.between(1, 3) }),
    ...maybe(0.4, { max_live_runs: random.between(1, 3) }),
    ...maybe(0.15, { max_tokens: random.between(1, 8_000) }),
    ...maybe(0.15, { max_cost_usd: random.between(1, 30) / 10 }),
    ...maybe(0.1, { max_wall_time: "1 minute" }),
  };
}
