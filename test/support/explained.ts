/** What the plans of all statements, those inside of functions included, really did: read from auto_explain. */
import type pg from "pg";

export interface Explained {
  /** Rows that any node of any plan produced, or read and threw away. */
  rows: number;
  /** Tables that were read sequentially. */
  sequential: Set<string>;
  /** Indexes that were walked: read without a condition on their first column. */
  walked: Set<string>;
}

interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Join Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  Plans?: PlanNode[];
}

/** From now on this superuser's session reports its plans. Returns the first column of each index of `public`. */
export async function explainEverything(session: pg.ClientBase): Promise<ReadonlyMap<string, string>> {
  const { rows } = await session.query<{ name: string; first: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid, 1, true) as first
     from pg_index join pg_class on pg_class.oid = indexrelid where relnamespace = 'public'::regnamespace`,
  );
  await session.query("load 'auto_explain'");
  for (const setting of [
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_analyze = on",
    "auto_explain.log_timing = off",
    "auto_explain.log_nested_statements = on",
    "auto_explain.log_format = json",
    "client_min_messages = log",
  ]) {
    await session.query(`set ${setting}`);
  }
  return new Map(rows.map(({ name, first }) => [name, first]));
}

/** Runs `work`, whose statements go through the session, and says what they did. */
export async function explained(
  session: pg.ClientBase,
  firstColumns: ReadonlyMap<string, string>,
  work: () => Promise<unknown>,
): Promise<Explained> {
  const told: string[] = [];
  const listen = (notice: { message?: string | undefined }) => {
    const plan = /plan:\n([\s\S]+)$/.exec(notice.message ?? "")?.[1];
    if (plan !== undefined) told.push(plan);
  };
  session.on("notice", listen);
  try {
    await work();
  } finally {
    session.off("notice", listen);
  }
  const result: Explained = { rows: 0, sequential: new Set(), walked: new Set() };
  for (const plan of told) add(result, firstColumns, (JSON.parse(plan) as { Plan: PlanNode }).Plan);
  return result;
}

function add(result: Explained, firstColumns: ReadonlyMap<string, string>, node: PlanNode): void {
  const removed =
    (node["Rows Removed by Filter"] ?? 0) +
    (node["Rows Removed by Join Filter"] ?? 0) +
    (node["Rows Removed by Index Recheck"] ?? 0);
  result.rows += (node["Actual Rows"] + removed) * node["Actual Loops"];
  if (node["Node Type"] === "Seq Scan" && node["Actual Loops"] > 0) {
    result.sequential.add(node["Relation Name"] ?? "");
  }
  const index = node["Index Name"];
  if (index !== undefined && node["Actual Loops"] > 0) {
    const first = firstColumns.get(index);
    const condition = node["Index Cond"] ?? "";
    // An expression is shown with its functions inlined.
    const bound = first?.includes("(") ? condition !== "" : new RegExp(`\\b${first}\\b`).test(condition);
    if (first !== undefined && !bound) result.walked.add(index);
  }
  for (const child of node.Plans ?? []) add(result, firstColumns, child);
}
