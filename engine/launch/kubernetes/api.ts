/**
 * The API server, as far as the launcher needs it: JSON requests, and answers that are read as they come.
 *
 * The one module that loads the Kubernetes client (90 MB, most of a second), and only when it is opened. The
 * client finds cluster and login; the objects are taken as plain JSON, for its generated classes cost memory
 * that ten thousand live runs cannot spare, and its requests each open a connection of their own.
 */
import { isIP } from "node:net";
import type * as Kubernetes from "@kubernetes/client-node";
import { ApiError, errorOfAnswer } from "./api-error.ts";
import { parseObjects } from "./parse-objects.ts";

export interface ApiRequest {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below the server's address. */
  path: string;
  query?: Record<string, string | number | boolean>;
  body?: object;
  /** Of the body; default JSON. */
  contentType?: string;
  signal?: AbortSignal | undefined;
  /** For the whole answer; of `stream`, for its beginning. */
  timeoutMs?: number;
}

export interface Api {
  /** Where runs happen. */
  readonly namespace: string;
  /** The answer's JSON, without `managedFields`. @throws ApiError */
  request(request: ApiRequest): Promise<unknown>;
  /** The answer's text, piece by piece, for as long as the server sends it. @throws ApiError */
  stream(request: ApiRequest): Promise<AsyncIterable<string>>;
  /** The connections may be half open: what is asked from now on gets new ones. */
  reconnect(): void;
  close(): Promise<void>;
}

/** Not an ApiError: nobody should ask again. */
class ApiClosed extends Error {}

const TIMEOUT_MS = 30_000;

/** What the client makes up where it finds no configuration. */
const NO_CLUSTER = "http://localhost:8080";

const NO_AUTHORITY =
  "Nothing says how to know the API server: add its certificate-authority-data to the kubeconfig, or name it by its host name.";

/** How long headers of a login are used: those of a service account change once an hour. */
const LOGIN_MS = 60_000;

/** @throws ApiError where no cluster is configured */
export async function openApi(where: {
  kubeconfig?: string | undefined;
  namespace?: string | undefined;
}): Promise<Api> {
  const client = await import("@kubernetes/client-node");
  const config = new client.KubeConfig();
  loadConfig(config, where.kubeconfig);
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || server === NO_CLUSTER) {
    throw new ApiError({ status: null, message: "No Kubernetes cluster is configured: set KUBECONFIG." });
  }
  const { origin, hostname, pathname } = new URL(server);
  nameServer(config, hostname);
  const login = createLogin(config, client);
  const send = createSender(login, { origin, prefix: pathname.replace(/\/$/, "") });

  return {
    namespace: where.namespace ?? (config.getContextObject(config.getCurrentContext())?.namespace || "default"),
    request: async (request) => {
      const late = AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS);
      try {
        const body = await send(request, anyOf(request.signal, late));
        return parseObjects(await body.text());
      } catch (error) {
        if (late.aborted) login.forget();
        throw asApiError(error, request.signal);
      }
    },
    stream: async (request) => {
      const late = new AbortController();
      const timer = setTimeout(
        () => late.abort(new Error("the server did not answer")),
        request.timeoutMs ?? TIMEOUT_MS,
      );
      try {
        return readText(await send(request, anyOf(request.signal, late.signal)), request.signal);
      } catch (error) {
        if (late.signal.aborted) login.forget();
        throw asApiError(error, request.signal);
      } finally {
        clearTimeout(timer);
      }
    },
    reconnect: login.forget,
    close: login.close,
  };
}

/** One request over the connections themselves: fetch takes twice the processor's time for each. */
function createSender(login: Login, server: { origin: string; prefix: string }) {
  return async (request: ApiRequest, signal: AbortSignal) => {
    const { headers, connections } = await login.current();
    const { method = "GET", body, contentType = "application/json" } = request;
    const ofBody = body === undefined ? {} : { "content-type": contentType };
    const answer = await connections.request({
      origin: server.origin,
      path: server.prefix + request.path + queryOf(request.query ?? {}),
      method,
      headers: { ...headers, accept: "application/json", ...ofBody },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    if (answer.statusCode < 400) return answer.body;
    if (answer.statusCode === 401) login.forget();
    throw errorOfAnswer(answer.statusCode, answer.headers, await answer.body.text());
  };
}

/** A public authority vouches for a server without a certificate here; the client makes connections only where it is told anything. */
function nameServer(config: Kubernetes.KubeConfig, hostname: string): void {
  const current = config.getCurrentCluster();
  if (current === null || current.tlsServerName !== undefined || isIP(hostname) !== 0) return;
  config.clusters = config.clusters.map((one) => (one === current ? { ...one, tlsServerName: hostname } : one));
}

/** Which cluster is meant, and by whose word; it is not asked for anything. @throws ApiError where none is configured */
export async function clusterOf(where: { kubeconfig?: string | undefined }): Promise<{ server: string; how: string }> {
  const client = await import("@kubernetes/client-node");
  const config = new client.KubeConfig();
  loadConfig(config, where.kubeconfig);
  const server = config.getCurrentCluster()?.server ?? NO_CLUSTER;
  const inside = where.kubeconfig === undefined && process.env["KUBERNETES_SERVICE_HOST"] !== undefined;
  if (inside) return { server, how: "the pod's service account" };
  return { server, how: `the context "${config.getCurrentContext()}" of ${where.kubeconfig ?? "~/.kube/config"}` };
}

function loadConfig(config: Kubernetes.KubeConfig, kubeconfig: string | undefined): void {
  try {
    if (kubeconfig !== undefined) config.loadFromFile(kubeconfig);
    else if (process.env["KUBERNETES_SERVICE_HOST"] === undefined) config.loadFromDefault();
    else config.loadFromCluster();
  } catch (error) {
    throw new ApiError(
      { status: null, message: `No cluster is configured: ${(error as Error).message}` },
      { cause: error },
    );
  }
}

type Client = typeof Kubernetes;
type Connections = NonNullable<ReturnType<InstanceType<Client["RequestContext"]>["getDispatcher"]>>;

/** What a request needs of the login. */
interface Signed {
  headers: Record<string, string>;
  connections: Connections;
}

/** Headers and connections of the login. The client would make new connections for each request. */
function createLogin(config: Kubernetes.KubeConfig, { RequestContext }: Client) {
  let headers: Record<string, string> = {};
  let connections: Connections | undefined;
  let validUntil = 0;
  let closed = false;

  const renew = async (): Promise<Signed> => {
    const context = new RequestContext("https://any/", "GET");
    await config.applySecurityAuthentication(context);
    headers = { ...context.getHeaders() };
    const fresh = context.getDispatcher();
    if (fresh === undefined) throw new ApiError({ status: null, message: NO_AUTHORITY });
    if (connections !== undefined) void fresh.close();
    connections ??= fresh;
    validUntil = performance.now() + LOGIN_MS;
    return { headers, connections };
  };
  return {
    /** @throws ApiError where nothing says how to know the server; ApiClosed */
    current: async (): Promise<Signed> => {
      if (closed) throw new ApiClosed("The launcher is closed.");
      return connections === undefined || performance.now() > validUntil ? await renew() : { headers, connections };
    },
    /** The server does not take it any more, or its connections are of no use: what is under way may end. */
    forget: (): void => {
      validUntil = 0;
      void connections?.close().catch(() => undefined);
      connections = undefined;
    },
    close: async (): Promise<void> => {
      closed = true;
      await connections?.destroy();
      connections = undefined;
    },
  };
}

type Login = ReturnType<typeof createLogin>;

function queryOf(query: NonNullable<ApiRequest["query"]>): string {
  const pairs = Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]);
  const text = new URLSearchParams(pairs).toString();
  return text === "" ? "" : `?${text}`;
}

function anyOf(one: AbortSignal | undefined, other: AbortSignal): AbortSignal {
  return one === undefined ? other : AbortSignal.any([one, other]);
}

async function* readText(body: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    for await (const bytes of body) yield decoder.decode(bytes, { stream: true });
  } catch (error) {
    throw asApiError(error, signal);
  }
}

/** What the connection throws often says little by itself; its cause says why. */
function asApiError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof ApiError || error instanceof ApiClosed || signal?.aborted) return error;
  const { message, cause, code } = error as NodeJS.ErrnoException;
  const why = cause instanceof Error ? cause.message : message || code;
  return new ApiError({ status: null, message: `The API server cannot be reached: ${why}` });
}
