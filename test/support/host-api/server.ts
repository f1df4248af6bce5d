/**
 * What the stand-ins of GitHub's and GitLab's APIs have in common: a small server on loopback that keeps requests in
 * memory and merges for real, in the bare repository behind it. They know only what Myzel asks for.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { BareRemote } from "../git-remotes.ts";

export interface StandInCheck {
  name: string;
  state: "passed" | "failed" | "running";
  url?: string;
}

/** A pull or merge request. */
export interface StandInRequest {
  number: number;
  source: string;
  target: string;
  title: string;
  body: string;
  state: "open" | "merged" | "closed";
  mergeCommit: string | null;
}

export interface Asked {
  method: string;
  /** With the query. */
  path: string;
  authorization: string | undefined;
  body: Record<string, unknown>;
}

export interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface HostStandIn {
  /** The API's address. */
  url: string;
  asked: Asked[];
  requests: StandInRequest[];
  /** What was reported for every commit; a function gets how often was asked before. */
  checks: StandInCheck[] | ((looks: number) => StandInCheck[]);
  /** Answers these instead of the usual, for the next requests that fit, `times` times. */
  interrupt(what: { method?: string; path: RegExp }, answer: Answer, times?: number): void;
  close(): Promise<void>;
}

/** What a stand-in answers to a request that its token has let in. */
export type Respond = (asked: Asked, url: URL, host: HostStandIn) => Answer;

/** @param prefix of the API's paths, as `/api/v3` */
export async function startStandIn(token: string, prefix: string, respond: Respond): Promise<HostStandIn> {
  const interruptions: { what: { method?: string; path: RegExp }; answer: Answer; times: number }[] = [];
  const server = createServer((incoming, response) => {
    void readBody(incoming).then((body) => {
      const { method = "GET", url: path = "/", headers } = incoming;
      const asked: Asked = { method, path, authorization: headers.authorization, body };
      host.asked.push(asked);
      const answer = answerTo(asked);
      response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
      response.end(answer.body === undefined ? "" : JSON.stringify(answer.body));
    });
  });
  function answerTo(asked: Asked): Answer {
    const found = interruptions.find(
      ({ what, times }) => times > 0 && (what.method ?? asked.method) === asked.method && what.path.test(asked.path),
    );
    if (found !== undefined) {
      found.times--;
      return found.answer;
    }
    if (asked.authorization !== `Bearer ${token}`) return { status: 401, body: { message: "Bad credentials" } };
    const url = new URL(asked.path, "http://host");
    if (!url.pathname.startsWith(`${prefix}/`)) return { status: 404, body: { message: "Not Found" } };
    url.pathname = url.pathname.slice(prefix.length);
    return respond(asked, url, host);
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host: HostStandIn = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
    asked: [],
    requests: [],
    checks: [],
    interrupt: (what, answer, times = 1) => void interruptions.push({ what, answer, times }),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return host;
}

/** A list in pages, as both hosts cut it. */
export function page<Entry>(entries: Entry[], url: URL): Entry[] {
  const size = Number(url.searchParams.get("per_page") ?? 30);
  const at = (Number(url.searchParams.get("page") ?? 1) - 1) * size;
  return entries.slice(at, at + size);
}

/** The newest first. */
export function requestsOf(host: HostStandIn, source: string | null, target: string | null): StandInRequest[] {
  return host.requests.filter((one) => one.source === source && one.target === target).toReversed();
}

const looks = new WeakMap<HostStandIn, number>();

/** The checks as they are now; counts as one look. */
export function checksNow(host: HostStandIn): StandInCheck[] {
  if (typeof host.checks !== "function") return host.checks;
  const before = looks.get(host) ?? 0;
  looks.set(host, before + 1);
  return host.checks(before);
}

/** The tree that a merge would make; null where it conflicts. */
export function mergedTree(remote: BareRemote, target: string, source: string): string | null {
  const run = spawnSync("git", ["merge-tree", "--write-tree", `refs/heads/${target}`, `refs/heads/${source}`], {
    cwd: remote.path,
    encoding: "utf8",
  });
  return run.status === 0 ? run.stdout.trim() : null;
}

/** Merges for real. @returns the merge commit */
export function mergeInto(remote: BareRemote, request: StandInRequest, tree: string, squash = false): string {
  const { source, target, title } = request;
  const second = squash ? [] : ["-p", `refs/heads/${source}`];
  const sha = remote.git("commit-tree", tree, "-p", `refs/heads/${target}`, ...second, "-m", title);
  remote.git("update-ref", `refs/heads/${target}`, sha);
  request.state = "merged";
  request.mergeCommit = sha;
  return sha;
}

async function readBody(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}
