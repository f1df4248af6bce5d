/** GitLab's REST API, as far as merge requests need it. */
import { z } from "zod";
import { type Branches, type Check, type CodeHost, HostError, type PullRequest, readAnswer } from "./host.ts";
import type { Api } from "./http-api.ts";

const pipelineSchema = z.object({
  id: z.number(),
  sha: z.string(),
  ref: z.string().nullish(),
  status: z.string(),
  web_url: z.string().nullish(),
});
const requestSchema = z.object({
  iid: z.number(),
  web_url: z.string(),
  state: z.string(),
  sha: z.string().nullish(),
  merge_commit_sha: z.string().nullish(),
  squash_commit_sha: z.string().nullish(),
  has_conflicts: z.boolean().nullish(),
  merge_status: z.string().nullish(),
  detailed_merge_status: z.string().nullish(),
  head_pipeline: pipelineSchema.nullish(),
  source_project_id: z.number().nullish(),
  target_project_id: z.number().nullish(),
});
const statusSchema = z.object({
  name: z.string(),
  status: z.string(),
  allow_failure: z.boolean().nullish(),
  target_url: z.string().nullish(),
});

/** While one of these stands, GitLab has not looked yet. */
const UNDECIDED = /^(unchecked|checking|preparing|cannot_be_merged_recheck|approvals_syncing)$/;

/** What a pipeline of the merge's result runs on, rather than on the head. */
const MERGED_RESULT = /^refs\/merge-requests\/\d+\/merge$/;

/** @param repository `group/…/name` */
export function gitlab(api: Api, repository: string): CodeHost {
  const root = `/projects/${encodeURIComponent(repository)}`;
  const find = (branches: Branches): Promise<PullRequest | null> => findRequest(api, root, branches);
  return {
    name: "GitLab",
    noun: "merge request",
    find,
    async open(branches, { title, body }) {
      try {
        const { source: source_branch, target: target_branch } = branches;
        const fields = { source_branch, target_branch, title, description: body };
        return requestOf(await api.call("POST", `${root}/merge_requests`, fields));
      } catch (error) {
        // Somebody was faster, or the answer was lost.
        const there = error instanceof HostError && (error.status === 409 || error.mayBeDone);
        const open = there ? await find(branches) : null;
        if (open?.state === "open") return open;
        throw error;
      }
    },
    read: async (number) => requestOf(await api.call("GET", `${root}/merge_requests/${number}`)),
    checks: (pull) => checksOf(api, root, pull),
    async merge(pull, sha) {
      const fields = { sha, should_remove_source_branch: false };
      return requestOf(await api.call("PUT", `${root}/merge_requests/${pull.number}/merge`, fields)).mergeCommit;
    },
  };
}

async function findRequest(api: Api, root: string, { source, target }: Branches): Promise<PullRequest | null> {
  const query = new URLSearchParams({
    source_branch: source,
    target_branch: target,
    state: "all",
    order_by: "created_at",
    sort: "desc",
  });
  const answers = await api.list(`${root}/merge_requests?${query.toString()}`);
  const requests = answers.filter(isNoForks).map(requestOf);
  return requests.find(({ state }) => state === "open") ?? requests.find(({ state }) => state === "merged") ?? null;
}

/** A fork may have a branch of the same name. */
function isNoForks(answer: unknown): boolean {
  const request = readAnswer("GitLab", requestSchema, answer);
  return request.source_project_id === request.target_project_id;
}

function requestOf(answer: unknown): PullRequest {
  const request = readAnswer("GitLab", requestSchema, answer);
  const merged = request.state === "merged";
  return {
    number: request.iid,
    url: request.web_url,
    state: merged ? "merged" : request.state === "opened" || request.state === "locked" ? "open" : "closed",
    headSha: request.sha ?? "",
    // A fast-forward makes no commit: the head is what was merged then.
    mergeCommit: merged ? (request.merge_commit_sha ?? request.squash_commit_sha ?? request.sha ?? null) : null,
    conflicts: conflictsOf(request),
  };
}

function conflictsOf(request: z.infer<typeof requestSchema>): boolean | null {
  if (request.has_conflicts === true || request.detailed_merge_status === "conflict") return true;
  const status = request.detailed_merge_status ?? request.merge_status ?? "unchecked";
  return UNDECIDED.test(status) ? null : false;
}

/** The jobs and outside reports of the commit, and the pipeline that GitLab itself goes by. */
async function checksOf(api: Api, root: string, pull: PullRequest): Promise<Check[]> {
  const statuses = (await api.list(`${root}/repository/commits/${pull.headSha}/statuses`)).map((status) =>
    readAnswer("GitLab", statusSchema, status),
  );
  const answer = await api.call("GET", `${root}/merge_requests/${pull.number}`);
  const { head_pipeline: pipeline, detailed_merge_status } = readAnswer("GitLab", requestSchema, answer);
  const checks = statuses.filter(({ allow_failure }) => allow_failure !== true).map(checkOfStatus);
  const counts = pipeline && (pipeline.sha === pull.headSha || MERGED_RESULT.test(pipeline.ref ?? ""));
  if (!counts) {
    // GitLab demands a pipeline that is not there yet.
    const awaited = checks.length === 0 && detailed_merge_status?.startsWith("ci_") === true;
    return awaited ? [{ name: "pipeline", url: null, state: "running" }] : checks;
  }
  const state = stateOf(pipeline.status);
  // Its jobs say it better, where they say it.
  if (checks.some((check) => check.state === state)) return checks;
  return [...checks, { name: `pipeline ${pipeline.id}`, url: pipeline.web_url ?? null, state }];
}

function checkOfStatus({ name, status, target_url }: z.infer<typeof statusSchema>): Check {
  return { name, url: target_url ?? null, state: stateOf(status) };
}

function stateOf(status: string): Check["state"] {
  if (status === "success" || status === "skipped") return "passed";
  return status === "failed" || status === "canceled" ? "failed" : "running";
}
