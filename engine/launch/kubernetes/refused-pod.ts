/**
 * Why the Job controller cannot make a run's pod: it writes that into events of the Job, and nowhere else.
 *
 * A quota has room again when other pods end, so such a run waits. A rule of the namespace (Pod Security, a
 * limit range, a webhook that says no) never changes its mind: the launcher gives the run up after a set time.
 */
import type { Api } from "./api.ts";
import { ApiError } from "./api-error.ts";
import type { SeenJob } from "./seen.ts";
import type { PodProblem } from "./stuck-pod.ts";

export interface PodRefusals {
  /**
   * What stands in the way of each of these Jobs, by uid; those of which nothing is known are not in it. A server that
   * does not answer tells nothing new.
   */
  of(jobs: readonly SeenJob[], now: number): Promise<ReadonlyMap<string, PodProblem>>;
}

interface EventJson {
  involvedObject: { uid?: string };
  message?: string;
  firstTimestamp?: string | null;
  lastTimestamp?: string | null;
  eventTime?: string | null;
}

interface Refusal {
  message: string;
  firstMs: number;
  lastMs: number;
}

/** Events are asked for at most so often, whoever looks. */
const ASK_EVERY_MS = 5_000;
/** An account that may not read events gets the right at some time, or never. */
const FORBIDDEN_MS = 300_000;
const PAGE = 500;
/** A controller writes a dozen events of a Job; more pages than this are old ones of others. */
const MOST_PAGES = 20;

/**
 * The API server forgets events after an hour, so what a Job was told is remembered for as long as it is asked about: a
 * Job that is alive is in each full look of the engine.
 */
const REMEMBER_MS = 120_000;

/** Any part of the Jobs may be asked about at any time: what is known of the others stays. */
export function createPodRefusals(api: Api): PodRefusals {
  let told = new Map<string, PodProblem>();
  const remembered = new Map<string, { problem: PodProblem; usedAt: number }>();
  let askAgainAt = -Infinity;

  const ask = async (now: number): Promise<void> => {
    askAgainAt = now + ASK_EVERY_MS;
    try {
      told = await askForRefusals(api);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 403) askAgainAt = now + FORBIDDEN_MS;
    }
    for (const [uid, { usedAt }] of remembered) if (now - usedAt > REMEMBER_MS) remembered.delete(uid);
  };
  return {
    of: async (jobs, now) => {
      if (jobs.length > 0 && now >= askAgainAt) await ask(now);
      const known = new Map<string, PodProblem>();
      for (const { uid } of jobs) {
        const problem = told.get(uid) ?? remembered.get(uid)?.problem;
        if (problem === undefined) continue;
        known.set(uid, problem);
        remembered.set(uid, { problem, usedAt: now });
      }
      return known;
    },
  };
}

/** By the uid of the Job. @throws ApiError */
async function askForRefusals(api: Api): Promise<Map<string, PodProblem>> {
  const found = new Map<string, Refusal[]>();
  let token = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = (await api.request({
      path: `/api/v1/namespaces/${api.namespace}/events`,
      query: {
        fieldSelector: "involvedObject.kind=Job,reason=FailedCreate",
        limit: PAGE,
        ...(token === "" ? {} : { continue: token }),
      },
    })) as { items: EventJson[]; metadata: { continue?: string } };
    for (const event of answer.items) {
      const uid = event.involvedObject.uid ?? "";
      found.set(uid, [...(found.get(uid) ?? []), refusalOf(event)]);
    }
    token = answer.metadata.continue ?? "";
    if (token === "") break;
  }
  return new Map(
    [...found].flatMap(([uid, refusals]) => {
      const problem = problemOfRefusals(refusals);
      return problem === null ? [] : [[uid, problem] as const];
    }),
  );
}

function refusalOf({ message = "", firstTimestamp, lastTimestamp, eventTime }: EventJson): Refusal {
  const lastMs = Date.parse(lastTimestamp ?? eventTime ?? "") || 0;
  return { message, lastMs, firstMs: Date.parse(firstTimestamp ?? eventTime ?? "") || lastMs };
}

/** Judged by the newest; those of its sort say since when. Null where there is none. Pure. */
export function problemOfRefusals(refusals: readonly Refusal[]): PodProblem | null {
  const newest = refusals.toSorted((a, b) => a.lastMs - b.lastMs).at(-1);
  if (newest === undefined) return null;
  const isFinal = isLasting(newest.message);
  const alike = refusals.filter(({ message }) => isLasting(message) === isFinal);
  const sinceMs = Math.min(...alike.map(({ firstMs }) => firstMs));
  const why = reasonOf(newest.message);
  if (!isFinal) return { sentence: `The cluster does not take its pod yet: ${why}`, sinceMs };
  const error = `The cluster refuses the run's pod: ${why}`;
  return { sentence: error, sinceMs, givenUp: { code: "pod_refused", error } };
}

/** A no to the moment: it ends when other pods end, or when a part of the cluster is there (again). */
const PASSING = /exceeded quota|status unknown for quota|failed calling webhook|service account .* not found/i;

/** A no to what is asked. */
const LASTING = /is forbidden|is invalid|denied the request|pod rejected/i;

/** Whether the same pod would be refused tomorrow. */
export function isLasting(message: string): boolean {
  return !PASSING.test(message) && LASTING.test(message);
}

/** Without what every such message begins with; the pod's name is another one in each. */
export function reasonOf(message: string): string {
  return message
    .replace(/^\(combined from similar events\): /, "")
    .replace(/^Error creating: /, "")
    .replace(/^pods? "[^"]*" is forbidden: /i, "")
    .replace(/[\s.]*$/, ".");
}
