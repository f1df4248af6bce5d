/** Edits as somebody makes them in psql, at random; notes what they change of the order and of capacities. */
import type pg from "pg";
import { isConnectionError, untilCertain, WIDE } from "./filing.ts";
import type { Filed } from "./filing.ts";
import type { Random } from "./random.ts";

/** What an addressee's capacity may have been from one time to another; neighbours overlap by the edit itself. */
export interface CapacitySpan {
  capacity: number;
  from: number;
  until: number;
}

export interface HandEdits {
  /** Makes one edit; returns its name, or null where nothing fitted. Refusals that are right are edits too. */
  edit(): Promise<string | null>;
  /** Opens every gate again. */
  openGates(): Promise<void>;
  readonly capacities: Map<string, CapacitySpan[]>;
  readonly counts: Map<string, number>;
  readonly broken: string[];
}

const WEIGHTS = {
  reschedule_completed: 10,
  reschedule_pending: 3,
  running_to_pending: 6,
  stop_running: 6,
  complete_running: 4,
  cancel_pending: 4,
  delete_pending: 3,
  delete_running: 3,
  delete_completed: 3,
  earlier_created_at: 8,
  other_addressee: 4,
  capacity: 6,
  pause_addressee: 4,
  resume_addressees: 6,
  pause_engine: 2,
  resume_engine: 6,
  open_credential: 8,
  set_running: 2,
  edit_running: 2,
} as const;
export type EditName = keyof typeof WEIGHTS;

/** Edits of one task: which status it must have, and the statement. */
export const OF_ONE_TASK: Partial<Record<EditName, { status: string; statement: string; refused?: boolean }>> = {
  reschedule_completed: { status: "completed", statement: "select reschedule($1)" },
  reschedule_pending: { status: "pending", statement: "select reschedule($1)" },
  running_to_pending: {
    status: "running",
    statement: "update tasks set status = 'pending' where id = $1 and status = 'running'",
  },
  stop_running: { status: "running", statement: "select stop($1, 'not needed')" },
  complete_running: {
    status: "running",
    statement: `update tasks set status = 'completed', result = '{"success": true, "summary": "by hand"}'
      where id = $1 and status = 'running'`,
  },
  cancel_pending: {
    status: "pending",
    statement: "update tasks set status = 'completed' where id = $1 and status = 'pending'",
  },
  delete_pending: { status: "pending", statement: "delete from tasks where id = $1" },
  delete_running: { status: "running", statement: "delete from tasks where id = $1" },
  delete_completed: { status: "completed", statement: "delete from tasks where id = $1" },
  set_running: {
    status: "pending",
    statement: "update tasks set status = 'running' where id = $1 and status = 'pending'",
    refused: true,
  },
  edit_running: {
    status: "running",
    statement: "update tasks set prompt = 'other' where id = $1 and status = 'running'",
    refused: true,
  },
};

export function handEdits(people: pg.Pool, filed: ReadonlyMap<string, Filed>, random: Random): HandEdits {
  const capacities = new Map<string, CapacitySpan[]>();
  const counts = new Map<string, number>();
  const broken: string[] = [];

  /** A task of that status that is known to be filed. */
  const someTask = async (status: string): Promise<Filed | null> => {
    const { rows } = await people.query("select id from tasks where status = $1 order by random() limit 20", [status]);
    return rows.map(({ id }) => filed.get(id as string)).find((task) => task !== undefined) ?? null;
  };

  const ofOneTask = async (name: EditName): Promise<boolean> => {
    const { status, statement, refused = false } = OF_ONE_TASK[name] ?? { status: "", statement: "" };
    const task = await someTask(status);
    if (task === null) return false;
    const answer = await attempt(() => people.query(statement, [task.id]));
    if (refused && answer.done && answer.result.rowCount !== 0) broken.push(`${name} of ${task.id} was not refused`);
    return true;
  };

  /** Changes where a task stands: uncertain while the edit is under way, and for good if its answer is lost. */
  const move = async (set: string): Promise<boolean> => {
    const task = await someTask("pending");
    const last = task?.placements.at(-1);
    if (task === null || last === undefined || last.until !== Infinity) return false;
    last.until = Date.now();
    const answer = await attempt(() =>
      people.query(
        `update tasks set ${set} where id = $1
         returning addressee, (extract(epoch from created_at) * 1000000)::bigint::text as key`,
        [task.id],
      ),
    );
    if (answer.lost) return true;
    const [row] = answer.done ? (answer.result.rows as { addressee: string; key: string }[]) : [];
    const { addressee, key } = row ?? { addressee: last.addressee, key: String(last.key) };
    task.placements.push({ addressee, key: Number(key), from: Date.now(), until: Infinity });
    return true;
  };

  const setCapacity = async (addressee: string, capacity: number): Promise<void> => {
    const spans = capacities.get(addressee) ?? [{ capacity: 1, from: -Infinity, until: Infinity }];
    capacities.set(addressee, spans);
    const span = { capacity, from: Date.now(), until: Infinity };
    spans.push(span);
    await untilCertain(() =>
      people.query(
        "insert into addressees (addressee, capacity) values ($1, $2) on conflict (addressee) do update set capacity = $2",
        [addressee, capacity],
      ),
    );
    for (const earlier of spans) if (earlier !== span) earlier.until = Math.min(earlier.until, Date.now());
  };

  const make = async (name: EditName): Promise<boolean> => {
    if (OF_ONE_TASK[name] !== undefined) return await ofOneTask(name);
    switch (name) {
      case "earlier_created_at":
        return await move(`created_at = created_at - interval '${random.between(1, 20_000)} milliseconds'`);
      case "other_addressee":
        return await move(`addressee = '${random.pick(WIDE)}'`);
      case "capacity":
        await setCapacity(random.pick(WIDE), random.between(0, 4));
        return true;
      case "pause_addressee":
        await people.query("select pause(addressee) from tasks where status = 'pending' order by random() limit 1");
        return true;
      case "resume_addressees":
        await people.query("update addressees set paused = false where paused");
        return true;
      case "pause_engine":
        await people.query("select pause()");
        return true;
      case "resume_engine":
        await people.query("select resume()");
        return true;
      default:
        await people.query("update credentials set blocked_until = null where blocked_until is not null");
        return true;
    }
  };

  return {
    capacities,
    counts,
    broken,
    edit: async () => {
      const name = random.weighted(WEIGHTS);
      try {
        if (!(await make(name))) return null;
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code === "40P01") broken.push(`${name} failed: ${message}`);
        else if (!isConnectionError(error)) throw error;
        return null;
      }
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return name;
    },
    openGates: async () => {
      for (const addressee of WIDE) await setCapacity(addressee, random.between(1, 4));
      await untilCertain(() => people.query("update addressees set paused = false where paused"));
      await untilCertain(() => people.query("select resume()"));
      await untilCertain(() =>
        people.query("update credentials set blocked_until = null where blocked_until is not null"),
      );
    },
  };
}

type Attempt<T> = { done: true; lost: false; result: T } | { done: false; lost: boolean };

/** Refusals of the guard (class MZ) are answers; a lost connection leaves open whether it was done. */
async function attempt<T>(call: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { done: true, lost: false, result: await call() };
  } catch (error) {
    if (isConnectionError(error)) return { done: false, lost: true };
    if ((error as { code?: string }).code?.startsWith("MZ")) return { done: false, lost: false };
    throw error;
  }
}
