/** GitHub's REST API, as far as pull requests need it; GitHub Enterprise Server speaks the same. */
import { z } from "zod";
import { type Branches, type Check, type CodeHost, HostError, type PullRequest, readAnswer } from "./host.ts";
import type { Api } from "./http-api.ts";

export const GITHUB_HEADERS = { accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" };

const pullSchema = z.object({
  number: z.number(),
  html_url: z.string(),
  state: z.string(),
  merged_at: z.string().nullish(),
  merge_commit_sha: z.string().nullish(),
  mergeable: z.boolean().nullish(),
  head: z.object({ sha: z.string() }),
});
const runSchema = z.object({
  name: z.string(),
  status: z.string(),
  conclusion: z.string().nullish(),
  html_url: z.string().nullish(),
  details_url: z.string().nullish(),
});
const statusSchema = z.object({ context: z.string(), state: z.string(), target_url: z.string().nullish() });

const mergedSchema = z.object({ sha: z.string().nullish() });

/** In the order in which they are tried; a repository may allow only some. */
const METHODS = ["merge", "squash", "rebase"] as const;

/** @param repository `owner/name` */
export function github(api: Api, repository: string): CodeHost {
  const root = `/repos/${repository.split("/").map(encodeURIComponent).join("/")}`;
  const owner = repository.split("/")[0] ?? "";
  const find = (branches: Branches): Promise<PullRequest | null> => findPull(api, root, owner, branches);
  return {
    name: "GitHub",
    noun: "pull request",
    find,
    async open(branches, text) {
      try {
        const { source, target } = branches;
        return pullOf(await api.call("POST", `${root}/pulls`, { ...text, head: source, base: target }));
      } catch (error) {
        // Somebody was faster, or the answer was lost.
        const there = error instanceof HostError && (error.status === 422 || error.mayBeDone);
        const open = there ? await find(branches) : null;
        if (open?.state === "open") return open;
        throw error;
      }
    },
    read: async (number) => pullOf(await api.call("GET", `${root}/pulls/${number}`)),
    checks: (pull, target) => checksOf(api, root, pull.headSha, target),
    merge: (pull, sha) => mergePull(api, `${root}/pulls/${pull.number}`, sha),
  };
}

async function findPull(api: Api, root: string, owner: string, { source, target }: Branches) {
  const query = new URLSearchParams({
    head: `${owner}:${source}`,
    base: target,
    state: "all",
    sort: "created",
    direction: "desc",
  });
  const pulls = (await api.list(`${root}/pulls?${query.toString()}`)).map(pullOf);
  return pulls.find(({ state }) => state === "open") ?? pulls.find(({ state }) => state === "merged") ?? null;
}

function pullOf(answer: unknown): PullRequest {
  const pull = readAnswer("GitHub", pullSchema, answer);
  const merged = Boolean(pull.merged_at);
  return {
    number: pull.number,
    url: pull.html_url,
    state: merged ? "merged" : pull.state === "open" ? "open" : "closed",
    headSha: pull.head.sha,
    mergeCommit: merged ? (pull.merge_commit_sha ?? null) : null,
    conflicts: typeof pull.mergeable === "boolean" ? !pull.mergeable : null,
  };
}

async function checksOf(api: Api, root: string, sha: string, target: string): Promise<Check[]> {
  const of = (field: string) => (answer: unknown) => (answer as Record<string, unknown> | null)?.[field];
  const runs = await api.list(`${root}/commits/${sha}/check-runs?filter=latest`, of("check_runs"));
  const statuses = await api.list(`${root}/commits/${sha}/status`, of("statuses"));
  const reported = [
    ...runs.map((run) => checkOfRun(readAnswer("GitHub", runSchema, run))),
    ...statuses.map((status) => checkOfStatus(readAnswer("GitHub", statusSchema, status))),
  ];
  const required = await requiredChecks(api, root, target);
  if (required.size === 0) return reported;
  const missing = [...required].filter((name) => !reported.some((check) => check.name === name));
  return [
    ...reported.filter(({ name }) => required.has(name)),
    ...missing.map((name): Check => ({ name, url: null, state: "running" })),
  ];
}

const GREEN: ReadonlySet<string> = new Set(["success", "neutral", "skipped"]);

function checkOfRun(run: z.infer<typeof runSchema>): Check {
  const done = run.status === "completed";
  const state = !done ? "running" : GREEN.has(run.conclusion ?? "") ? "passed" : "failed";
  return { name: run.name, url: run.html_url ?? run.details_url ?? null, state };
}

function checkOfStatus({ context, state, target_url }: z.infer<typeof statusSchema>): Check {
  const states: Readonly<Record<string, Check["state"]>> = { success: "passed", pending: "running" };
  return { name: context, url: target_url ?? null, state: states[state] ?? "failed" };
}

const protectionSchema = z.object({
  protection: z
    .object({ required_status_checks: z.object({ contexts: z.array(z.string()).nullish() }).nullish() })
    .nullish(),
});
const contextsSchema = z.object({ required_status_checks: z.array(z.object({ context: z.string() })).nullish() });
const rulesSchema = z.array(z.object({ parameters: contextsSchema.nullish() }));

/** By branch protection and by rulesets; both can be read by whoever may read the repository. */
async function requiredChecks(api: Api, root: string, target: string): Promise<ReadonlySet<string>> {
  const branch = encodeURIComponent(target);
  const { protection } = readAnswer("GitHub", protectionSchema, await api.call("GET", `${root}/branches/${branch}`));
  const rules = readAnswer("GitHub", rulesSchema, await rulesOf(api, `${root}/rules/branches/${branch}`));
  return new Set([
    ...(protection?.required_status_checks?.contexts ?? []),
    ...rules.flatMap(({ parameters }) => parameters?.required_status_checks?.map(({ context }) => context) ?? []),
  ]);
}

/** An older GitHub Enterprise Server knows no rulesets. */
async function rulesOf(api: Api, path: string): Promise<unknown[]> {
  try {
    return await api.list(path);
  } catch (error) {
    if (error instanceof HostError && error.status === 404) return [];
    throw error;
  }
}

async function mergePull(api: Api, path: string, sha: string): Promise<string | null> {
  let refused: unknown;
  for (const merge_method of METHODS) {
    try {
      const answer = await api.call("PUT", `${path}/merge`, { sha, merge_method });
      return readAnswer("GitHub", mergedSchema, answer).sha ?? null;
    } catch (error) {
      const notThisWay = error instanceof HostError && error.status === 405 && /not allowed/i.test(error.said);
      if (!notThisWay) throw error;
      refused ??= error;
    }
  }
  throw refused;
}
