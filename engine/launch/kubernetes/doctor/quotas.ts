/** How many runs the namespace's quotas have room for, against how many the engine would start. */
import { ok, problem, warning, type Check } from "../../../check.ts";
import type { Api } from "../api.ts";
import { isStatus } from "../api-error.ts";
import { requestedCpu } from "../phase-containers.ts";

interface QuotaJson {
  metadata: { name: string };
  spec?: { scopes?: string[]; scopeSelector?: object };
  status?: { hard?: Record<string, string> };
}

/** What one run asks for, by the names that quotas use. */
export interface RunDemand {
  cpu: string;
  memory: string;
}

/** Nothing where there is no quota, or this login may not read them. @throws ApiError */
export async function checkQuotas(api: Api, demand: RunDemand, maxLiveRuns: number): Promise<Check[]> {
  let quotas: QuotaJson[];
  try {
    quotas = (
      (await api.request({ path: `/api/v1/namespaces/${api.namespace}/resourcequotas` })) as { items: QuotaJson[] }
    ).items;
  } catch (error) {
    if (isStatus(error, 403)) return [];
    throw error;
  }
  return quotas.flatMap((quota) => {
    // Whether a scope covers runs depends on more than their size.
    if (quota.spec?.scopes !== undefined || quota.spec?.scopeSelector !== undefined) return [];
    const most = mostRuns(quota.status?.hard ?? {}, demand);
    return most === null ? [] : [checkOfQuota(quota.metadata.name, most, maxLiveRuns)];
  });
}

function checkOfQuota(quota: string, { runs, resource }: Most, maxLiveRuns: number): Check {
  const name = `quota ${quota}`;
  if (runs === 0) return problem(name, `no run ever fits into its ${resource}`, "raise it, or give runs less");
  const message = `has room for ${runs} ${runs === 1 ? "run" : "runs"} at a time (${resource}); the engine starts up to ${maxLiveRuns}`;
  if (runs >= maxLiveRuns) return ok(name, message);
  return warning(name, message, `set MYZEL_MAX_LIVE_RUNS=${runs}, or raise the quota: more wait as Jobs without a pod`);
}

interface Most {
  runs: number;
  resource: string;
}

/** What the quota allows when nothing else is in the namespace; null: it limits nothing of a run's. Pure. */
export function mostRuns(hard: Readonly<Record<string, string>>, demand: RunDemand): Most | null {
  const one: Record<string, string> = {
    pods: "1",
    "count/pods": "1",
    "count/jobs.batch": "1",
    cpu: requestedCpu(demand.cpu),
    "requests.cpu": requestedCpu(demand.cpu),
    "limits.cpu": demand.cpu,
    memory: demand.memory,
    "requests.memory": demand.memory,
    "limits.memory": demand.memory,
  };
  const rooms = Object.entries(hard).flatMap(([resource, text]) => {
    const limit = quantityOf(text);
    const wanted = quantityOf(one[resource] ?? "");
    return limit === null || wanted === null || wanted === 0 ? [] : [{ resource, runs: Math.floor(limit / wanted) }];
  });
  return rooms.toSorted((a, b) => a.runs - b.runs)[0] ?? null;
}

const SUFFIXES: Readonly<Record<string, number>> = {
  "": 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** The number that a Kubernetes quantity stands for; null where it is none that people write. Pure. */
export function quantityOf(text: string): number | null {
  const [, digits = "", suffix = ""] = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text) ?? [];
  const factor = SUFFIXES[suffix];
  return digits === "" || factor === undefined ? null : Number(digits) * factor;
}
