/**
 * JSON over HTTP with one host's API: a limit for everything, patience with a host that is busy, and a token that
 * goes to that host and nowhere else, not even where a redirect leads there.
 *
 * Made of node:https and not of fetch, for the proxy variables and the certificates that git knows count here too.
 */
import { readFileSync } from "node:fs";
import { type IncomingMessage, request as httpRequest, type RequestOptions, Agent as HttpAgent } from "node:http";
import { request as httpsRequest, Agent as HttpsAgent } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { getCACertificates } from "node:tls";
import { HostError } from "./host.ts";

export interface ApiAccess {
  /** For sentences: `GitHub`. */
  name: string;
  /** Paths are appended to it. */
  base: string;
  token: string;
  headers: Readonly<Record<string, string>>;
  /** The phase's, for proxies and certificates. */
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
  /** How long a host that is busy or does not answer is tried again, for each call. */
  patienceMs: number;
}

export interface Answer {
  status: number;
  body: unknown;
}

export interface Api {
  /** @throws HostError for every status that is no success, and where the host cannot be reached */
  call(method: "GET" | "POST" | "PUT", path: string, body?: object): Promise<unknown>;
  /** All entries of a list in pages, at most 1,000. `pick` finds the list in an answer. */
  list(path: string, pick?: (answer: unknown) => unknown): Promise<unknown[]>;
}

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 16 * 2 ** 20;
const MAX_REDIRECTS = 3;
const MAX_PAGES = 10;
const PAGE = 100;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** The API behind this access. */
export function httpApi(access: ApiAccess): Api {
  const call: Api["call"] = async (method, path, body) => {
    const answer = await patientCall(access, method, path, body);
    return answer.body;
  };
  return {
    call,
    async list(path, pick = (answer) => answer) {
      const entries: unknown[] = [];
      for (let page = 1; page <= MAX_PAGES; page++) {
        const separator = path.includes("?") ? "&" : "?";
        const found = pick(await call("GET", `${path}${separator}per_page=${PAGE}&page=${page}`));
        if (!Array.isArray(found)) break;
        entries.push(...found);
        if (found.length < PAGE) break;
      }
      return entries;
    },
  };
}

interface RawAnswer extends Answer {
  headers: IncomingMessage["headers"];
}

async function patientCall(access: ApiAccess, method: string, path: string, body?: object): Promise<Answer> {
  const begin = performance.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    let failure: HostError;
    let waitMs: number | null;
    try {
      const answer = await callOnce(access, method, new URL(access.base + path), body);
      if (answer.status >= 200 && answer.status < 300) return answer;
      failure = refusal(access, answer);
      waitMs = waitAfter(answer, method, pauseMs);
    } catch (error) {
      access.signal.throwIfAborted();
      if (error instanceof HostError) throw error;
      const why = reasonOf(error);
      const host = new URL(access.base).host;
      failure = new HostError(`${access.name}'s API at ${host} cannot be reached (${why}).`, { status: null });
      waitMs = method === "GET" ? pauseMs : null;
    }
    if (waitMs === null || performance.now() - begin + waitMs > access.patienceMs) throw failure;
    await delay(waitMs, undefined, { signal: access.signal });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "AbortError") return `no answer in ${REQUEST_TIMEOUT_MS / 1000} seconds`;
  return (error as NodeJS.ErrnoException).code ?? error.message;
}

/** How long to wait before the same call is made again; null: it is not. Pure but for the clock of dates. */
function waitAfter({ status, headers }: RawAnswer, method: string, pauseMs: number): number | null {
  const after = secondsOf(headers["retry-after"]) ?? limitReset(headers);
  // What is over a limit was not done, so it may be asked again whatever it is.
  if (status === 429 || (status === 403 && after !== null)) return Math.max((after ?? 0) * 1000, pauseMs);
  if (status >= 500 && method === "GET") return Math.max((after ?? 0) * 1000, pauseMs);
  return null;
}

function secondsOf(value: string | undefined): number | null {
  if (value === undefined) return null;
  if (/^\d+$/.test(value)) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, (at - Date.now()) / 1000);
}

/** GitHub's and GitLab's word for a limit that is used up. */
function limitReset(headers: IncomingMessage["headers"]): number | null {
  for (const prefix of ["x-ratelimit", "ratelimit"]) {
    const reset = Number(headers[`${prefix}-reset`]);
    if (headers[`${prefix}-remaining`] === "0" && reset > 0) return Math.max(0, reset - Date.now() / 1000);
  }
  return null;
}

function refusal({ name }: ApiAccess, { status, body }: Answer): HostError {
  const said = wordsOf(body);
  const words = said === "" ? "" : `: ${said}`;
  const hint =
    status === 401
      ? " The token is not accepted there."
      : status === 403 || status === 404
        ? " Look whether the token may do this."
        : "";
  return new HostError(`${name} answered ${status}${words}.${hint}`, { status, said });
}

/** `message` and `errors` as both hosts say them, on one line. */
function wordsOf(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const { message, error, errors } = body as Record<string, unknown>;
  const words = [message, error, ...(Array.isArray(errors) ? errors : [])].flatMap(wordsIn);
  const line = [...new Set(words)].join("; ").replace(/\s+/g, " ").trim();
  return line.slice(0, 400).replace(/\.$/, "");
}

function wordsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(wordsIn);
  if (typeof value !== "object" || value === null) return [];
  const { message } = value as { message?: unknown };
  return message === undefined ? Object.values(value).flatMap(wordsIn) : wordsIn(message);
}

/** Redirects are followed within the same origin only: the token stays there. */
async function callOnce(access: ApiAccess, method: string, first: URL, body?: object): Promise<RawAnswer> {
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const answer = await send(access, method, url, body);
    const { status, headers } = answer;
    const followed = status === 307 || status === 308 || ((status === 301 || status === 302) && method === "GET");
    if (status < 300 || status >= 400) return answer;
    const next = URL.parse(headers.location ?? "", url.href);
    if (!followed || next === null || next.origin !== first.origin || redirects === MAX_REDIRECTS) {
      const where = next === null || next.origin === first.origin ? "" : ` to ${next.origin}`;
      const sentence = `${access.name} redirects${where}, where the token is not sent: set the project's host_api_url and address to the final ones.`;
      throw new HostError(sentence, { status });
    }
    url = next;
  }
}

function send(access: ApiAccess, method: string, url: URL, body?: object): Promise<RawAnswer> {
  const content = body === undefined ? undefined : JSON.stringify(body);
  const options: RequestOptions = {
    method,
    agent: agentFor(access, url),
    signal: AbortSignal.any([access.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
    headers: {
      ...access.headers,
      authorization: `Bearer ${access.token}`,
      "user-agent": "myzel",
      ...(content === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(content) }),
    },
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options, (response) => {
      readAnswer(response).then(resolve, reject);
    });
    request.once("error", reject);
    request.end(content);
  });
}

/** A connection for each request: they are few, and minutes apart. */
function agentFor({ environment }: ApiAccess, url: URL): HttpAgent {
  const proxyEnv = Object.fromEntries(
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"].flatMap((name) =>
      environment[name] ? [[name, environment[name]]] : [],
    ),
  );
  if (url.protocol !== "https:") return new HttpAgent({ proxyEnv });
  const own = environment["GIT_SSL_CAINFO"];
  const trusted = [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  return new HttpsAgent({ proxyEnv, ca: own ? [...trusted, readFileSync(own, "utf8")] : trusted });
}

async function readAnswer(response: IncomingMessage): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error("its answer is too long");
    chunks.push(chunk);
  }
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body: parsed(Buffer.concat(chunks).toString("utf8")) };
}

/** null where it is no JSON: a page of a proxy, for example. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
