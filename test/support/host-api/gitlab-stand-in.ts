/** A stand-in of GitLab's REST API: merge requests, statuses of commits, pipelines and merges of one project. */
import type { BareRemote } from "../git-remotes.ts";
import {
  type Answer,
  checksNow,
  type HostStandIn,
  mergedTree,
  mergeInto,
  page,
  requestsOf,
  startStandIn,
  type StandInRequest,
} from "./server.ts";

export interface GitlabStandIn extends HostStandIn {
  /** Of the head's pipeline, in GitLab's words; null: there is none. */
  pipeline: string | null;
  /** Names of jobs that may fail. */
  mayFail: Set<string>;
}

const STATUSES = { passed: "success", failed: "failed", running: "running" } as const;

/** @param repository `group/name` */
export async function startGitlab(remote: BareRemote, repository: string, token: string): Promise<GitlabStandIn> {
  const host = await startStandIn(token, "/api/v4", ({ method, body }, url) => {
    const root = `/projects/${encodeURIComponent(repository)}`;
    if (!url.pathname.startsWith(`${root}/`)) return { status: 404, body: { message: "404 Project Not Found" } };
    const rest = `${method} ${url.pathname.slice(root.length)}`;
    const number = Number(/^\w+ \/merge_requests\/(\d+)/.exec(rest)?.[1]);
    const request = gitlab.requests.find((one) => one.number === number);
    if (rest === "GET /merge_requests") return list(gitlab, remote, url);
    if (rest === "POST /merge_requests") return open(gitlab, remote, body);
    if (/^GET \/repository\/commits\/\w+\/statuses$/.test(rest)) return statuses(gitlab, url);
    if (request === undefined) return { status: 404, body: { message: "404 Not found" } };
    if (rest.endsWith("/merge")) return merge(gitlab, remote, request, body);
    return { status: 200, body: shown(gitlab, remote, request) };
  });
  const gitlab: GitlabStandIn = Object.assign(host, { pipeline: null, mayFail: new Set<string>() });
  return gitlab;
}

function list(host: GitlabStandIn, remote: BareRemote, url: URL): Answer {
  const found = requestsOf(host, url.searchParams.get("source_branch"), url.searchParams.get("target_branch"));
  return {
    status: 200,
    body: page(
      found.map((request) => shown(host, remote, request)),
      url,
    ),
  };
}

function open(host: GitlabStandIn, remote: BareRemote, fields: Record<string, unknown>): Answer {
  const { source_branch: source, target_branch: target, title, description } = fields as Record<string, string>;
  if (source === undefined || target === undefined || remote.head(source) === null) {
    return { status: 400, body: { message: { source_branch: ["does not exist"] } } };
  }
  if (requestsOf(host, source, target).some(({ state }) => state === "open")) {
    return { status: 409, body: { message: ["Another open merge request already exists for this source branch: !1"] } };
  }
  const number = host.requests.length + 1;
  const request = { number, source, target, title: title ?? "", body: description ?? "", mergeCommit: null };
  host.requests.push({ ...request, state: "open" });
  return { status: 201, body: shown(host, remote, { ...request, state: "open" }) };
}

function shown(host: GitlabStandIn, remote: BareRemote, request: StandInRequest) {
  const conflicts = request.state === "open" && mergedTree(remote, request.target, request.source) === null;
  const sha = remote.head(request.source);
  const pipeline = {
    id: 7,
    sha,
    ref: request.source,
    status: host.pipeline,
    web_url: "https://gitlab.example/pipelines/7",
  };
  return {
    iid: request.number,
    web_url: `https://gitlab.example/merge_requests/${request.number}`,
    state: request.state === "open" ? "opened" : request.state,
    sha,
    merge_commit_sha: request.mergeCommit,
    squash_commit_sha: null,
    has_conflicts: conflicts,
    detailed_merge_status: conflicts ? "conflict" : "mergeable",
    head_pipeline: host.pipeline === null ? null : pipeline,
    source_project_id: 1,
    target_project_id: 1,
  };
}

function statuses(host: GitlabStandIn, url: URL): Answer {
  const entries = checksNow(host).map(({ name, state, url: target_url }) => ({
    name,
    status: STATUSES[state],
    allow_failure: host.mayFail.has(name),
    target_url: target_url ?? null,
  }));
  return { status: 200, body: page(entries, url) };
}

function merge(
  host: GitlabStandIn,
  remote: BareRemote,
  request: StandInRequest,
  body: Record<string, unknown>,
): Answer {
  if (body["sha"] !== remote.head(request.source)) {
    return { status: 409, body: { message: "SHA does not match HEAD of source branch" } };
  }
  const tree = mergedTree(remote, request.target, request.source);
  if (request.state !== "open" || tree === null) return { status: 405, body: { message: "405 Method Not Allowed" } };
  mergeInto(remote, request, tree);
  return { status: 200, body: shown(host, remote, request) };
}
