/** A stand-in of GitHub's REST API: pull requests, checks, branch protection and merges of one repository. */
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
  type StandInCheck,
  type StandInRequest,
} from "./server.ts";

export interface GithubStandIn extends HostStandIn {
  /** Names of required checks, by branch protection and by a ruleset. */
  required: { protection: string[]; rules: string[] };
  /** Which ways of merging the repository allows. */
  allowed: Set<string>;
}

/** @param repository `owner/name` */
export async function startGithub(remote: BareRemote, repository: string, token: string): Promise<GithubStandIn> {
  const settings = { required: { protection: [], rules: [] }, allowed: new Set(["merge", "squash", "rebase"]) };
  const host = await startStandIn(token, "/api/v3", ({ method, body }, url) => {
    const path = `${method} ${url.pathname}`;
    const root = `/repos/${repository}`;
    if (!url.pathname.startsWith(`${root}/`)) return { status: 404, body: { message: "Not Found" } };
    const rest = path.replace(root, "");
    const number = Number(/^\w+ \/pulls\/(\d+)/.exec(rest)?.[1]);
    const pull = github.requests.find((one) => one.number === number);
    if (rest === "GET /pulls") return list(github, remote, url);
    if (rest === "POST /pulls") return open(github, remote, body);
    if (/^GET \/commits\/\w+\/check-runs$/.test(rest)) return checkRuns(github, url);
    if (/^GET \/commits\/\w+\/status$/.test(rest)) return { status: 200, body: { statuses: [] } };
    if (rest.startsWith("GET /branches/")) return { status: 200, body: protection(github.required.protection) };
    if (rest.startsWith("GET /rules/branches/")) return { status: 200, body: page(rules(github.required.rules), url) };
    if (pull === undefined) return { status: 404, body: { message: "Not Found" } };
    return rest.endsWith("/merge") ? merge(github, remote, pull, body) : { status: 200, body: shown(remote, pull) };
  });
  const github: GithubStandIn = Object.assign(host, settings);
  return github;
}

function list(host: GithubStandIn, remote: BareRemote, url: URL): Answer {
  const head = url.searchParams.get("head")?.split(":")[1] ?? null;
  const found = requestsOf(host, head, url.searchParams.get("base"));
  // The list says nothing of conflicts.
  const entries = found.map((pull) => ({ ...shown(remote, pull), mergeable: undefined }));
  return { status: 200, body: page(entries, url) };
}

function open(host: GithubStandIn, remote: BareRemote, fields: Record<string, unknown>): Answer {
  const { head: source, base: target, title, body } = fields as Record<string, string>;
  if (source === undefined || target === undefined || remote.head(source) === null) {
    return { status: 422, body: { message: "Validation Failed", errors: [{ field: "head", code: "invalid" }] } };
  }
  if (requestsOf(host, source, target).some(({ state }) => state === "open")) {
    const errors = [{ message: `A pull request already exists for ${source}.` }];
    return { status: 422, body: { message: "Validation Failed", errors } };
  }
  const number = host.requests.length + 1;
  const pull = { number, source, target, title: title ?? "", body: body ?? "", mergeCommit: null };
  host.requests.push({ ...pull, state: "open" });
  return { status: 201, body: shown(remote, { ...pull, state: "open" }) };
}

function shown(remote: BareRemote, pull: StandInRequest) {
  const isOpen = pull.state === "open";
  return {
    number: pull.number,
    html_url: `https://github.example/pull/${pull.number}`,
    state: isOpen ? "open" : "closed",
    merged_at: pull.state === "merged" ? "2026-01-01T00:00:00Z" : null,
    merge_commit_sha: pull.mergeCommit,
    mergeable: isOpen ? mergedTree(remote, pull.target, pull.source) !== null : null,
    head: { sha: remote.head(pull.source) ?? "" },
  };
}

function checkRuns(host: GithubStandIn, url: URL): Answer {
  return { status: 200, body: { check_runs: page(checksNow(host).map(asRun), url) } };
}

function asRun({ name, state, url }: StandInCheck) {
  const running = state === "running";
  const conclusion = running ? null : state === "passed" ? "success" : "failure";
  return { name, status: running ? "in_progress" : "completed", conclusion, html_url: url ?? null };
}

function protection(contexts: string[]) {
  return { name: "main", protection: { enabled: contexts.length > 0, required_status_checks: { contexts } } };
}

function rules(contexts: string[]) {
  const required_status_checks = contexts.map((context) => ({ context }));
  return [{ type: "deletion" }, { type: "required_status_checks", parameters: { required_status_checks } }];
}

function merge(host: GithubStandIn, remote: BareRemote, pull: StandInRequest, body: Record<string, unknown>): Answer {
  const way = String(body["merge_method"]);
  if (!host.allowed.has(way)) {
    return { status: 405, body: { message: `${way} commits are not allowed on this repository.` } };
  }
  if (body["sha"] !== remote.head(pull.source)) {
    return { status: 409, body: { message: "Head branch was modified. Review and try the merge again." } };
  }
  const tree = mergedTree(remote, pull.target, pull.source);
  if (pull.state !== "open" || tree === null) {
    return { status: 405, body: { message: "Pull Request is not mergeable" } };
  }
  return { status: 200, body: { merged: true, sha: mergeInto(remote, pull, tree, way === "squash") } };
}
