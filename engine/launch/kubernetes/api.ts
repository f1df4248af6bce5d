/**
 * The API server, as far as the launcher needs it: JSON requests, and answers that are read as they come.
 *
 * The one module that loads the Kubernetes client (90 MB, most of a second), and only when it is opened. The
 * client finds cluster and login; the objects are taken as plain JSON, for its generated classes cost memory
 * that ten thousand live runs cannot spare, and its requests each open a connection of their own.
 */
import type * as Kubernetes from "@kubernetes/client-node";
import { ApiError, errorOfAnswer } from "./api-error.ts";

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
  /** The answer's JSON. @throws ApiError */
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
  const login = createLogin(config, client);
  const library = new client.IsomorphicFetchHttpLibrary();
  let closed = false;

  const send = async (request: ApiRequest, signal: AbortSignal) => {
    if (closed) throw new ApiClosed("The launcher is closed.");
    const context = new client.RequestContext(server.replace(/\/$/, "") + request.path, request.method ?? "GET");
    for (const [name, value] of Object.entries(request.query ?? {})) context.setQueryParam(name, String(value));
    await login.sign(context);
    context.setHeaderParam("Accept", "application/json");
    if (request.body !== undefined) {
      context.setHeaderParam("Content-Type", request.contentType ?? "application/json");
      context.setBody(JSON.stringify(request.body));
    }
    context.setSignal(signal);
    const answer = await library.send(context).toPromise();
    if (answer.httpStatusCode < 400) return answer;
    if (answer.httpStatusCode === 401) login.forget();
    throw errorOfAnswer(answer.httpStatusCode, answer.headers, await answer.body.text());
  };

  return {
    namespace: where.namespace ?? (config.getContextObject(config.getCurrentContext())?.namespace || "default"),
    request: async (request) => {
      const late = AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS);
      try {
        return JSON.parse(await (await send(request, anyOf(request.signal, late))).body.text()) as unknown;
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
        const { body } = await send(request, anyOf(request.signal, late.signal));
        return readText(body.stream(), request.signal);
      } catch (error) {
        if (late.signal.aborted) login.forget();
        throw asApiError(error, request.signal);
      } finally {
        clearTimeout(timer);
      }
    },
    reconnect: login.forget,
    close: async () => {
      closed = true;
      await login.close();
    },
  };
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
type Context = InstanceType<Client["RequestContext"]>;
type Dispatcher = NonNullable<ReturnType<Context["getDispatcher"]>>;

/** Headers and connections of the login. The client would make new connections for each request. */
function createLogin(config: Kubernetes.KubeConfig, { RequestContext }: Client) {
  let headers: Record<string, string> = {};
  let dispatcher: Dispatcher | undefined;
  let validUntil = 0;

  const renew = async (): Promise<void> => {
    const context = new RequestContext("https://any/", "GET");
    await config.applySecurityAuthentication(context);
    headers = { ...context.getHeaders() };
    const fresh = context.getDispatcher();
    if (dispatcher === undefined) dispatcher = fresh;
    else void fresh?.close();
    validUntil = performance.now() + LOGIN_MS;
  };
  return {
    sign: async (context: Context): Promise<void> => {
      if (performance.now() > validUntil) await renew();
      for (const [name, value] of Object.entries(headers)) context.setHeaderParam(name, value);
      if (dispatcher !== undefined) context.setDispatcher(dispatcher);
    },
    /** The server does not take it any more, or its connections are of no use: what is under way may end. */
    forget: (): void => {
      validUntil = 0;
      void dispatcher?.close().catch(() => undefined);
      dispatcher = undefined;
    },
    close: async (): Promise<void> => {
      await dispatcher?.destroy();
      dispatcher = undefined;
    },
  };
}

async function* readText(
  stream: ReadableStream<Uint8Array> | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<string> {
  if (stream === null) return;
  const decoder = new TextDecoder();
  try {
    for await (const bytes of stream) yield decoder.decode(bytes, { stream: true });
  } catch (error) {
    throw asApiError(error, signal);
  }
}

function anyOf(...signals: (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}

/** What fetch throws says little by itself; its cause says why. */
function asApiError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof ApiError || error instanceof ApiClosed || signal?.aborted) return error;
  const { message, cause } = error as Error;
  const why = cause instanceof Error ? cause.message : message;
  return new ApiError({ status: null, message: `The API server cannot be reached: ${why}` }, { cause: error });
}
