/**
 * Keeps up with all objects of one kind that carry our labels: lists them, then watches from there.
 *
 * A version that has expired, a connection that was dropped or is half open: each costs time and nothing
 * else. A full list every five minutes heals whatever a watch missed. Never ends by itself.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Api } from "./api.ts";
import { ApiError, isStatus } from "./api-error.ts";
import { linesOf } from "./lines.ts";
import { listObjects, type ObjectKind } from "./list-objects.ts";
import { parseObjects } from "./parse-objects.ts";
import type { SeenObject } from "./seen.ts";

export interface ObjectReader<Seen extends SeenObject> {
  /** Everything there is, as of `version`. */
  listed(objects: readonly Seen[], version: number): void;
  changed(object: Seen): void;
  removed(object: Seen): void;
}

export interface Following {
  /** Milliseconds since the server last said anything; Infinity before it has listed everything. */
  silenceMs(): number;
  /** Resolves with the first list, or when the following is stopped. */
  readonly begun: Promise<void>;
  stop(): Promise<void>;
}

export interface FollowOptions {
  selector: string;
  log: Logger;
  /** For tests: how long a connection may say nothing before it is opened anew. */
  silenceMs?: number | undefined;
}

const RELIST_MS = 300_000;
/** The server ends a watch by itself then. */
const WATCH_SECONDS = 290;
/** A connection that says nothing for so long may be half open; to open it anew costs one small request. */
const SILENCE_MS = 20_000;
const OPEN_TIMEOUT_MS = 10_000;
/** A server that ends watches at once is not asked more often than this. */
const SHORT_WATCH_MS = 1_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** The version to go on from is no longer known to the server: everything has to be listed again. */
class VersionGone extends Error {}

interface Follower<Seen extends SeenObject> extends FollowOptions {
  api: Api;
  kind: ObjectKind<Seen>;
  reader: ObjectReader<Seen>;
  signal: AbortSignal;
  heard(): void;
  interrupted(error: unknown): void;
}

/** Begins at once. What the reader throws ends the watch and is logged; the list that follows heals it. */
export function followObjects<Seen extends SeenObject>(
  api: Api,
  kind: ObjectKind<Seen>,
  reader: ObjectReader<Seen>,
  options: FollowOptions,
): Following {
  const stop = new AbortController();
  const begun = Promise.withResolvers<void>();
  const log = options.log.child({ objects: kind.name });
  let heardAt = -Infinity;
  let isInterrupted = false;
  const heard = (): void => {
    heardAt = performance.now();
    begun.resolve();
    if (isInterrupted) log.info("watch goes on");
    isInterrupted = false;
  };
  /** Said once, and once more when it is over. */
  const interrupted = (error: unknown): void => {
    log[isInterrupted ? "debug" : "warn"]({ err: error }, "watch was interrupted");
    isInterrupted = true;
  };
  const ended = follow({ ...options, api, kind, reader, signal: stop.signal, heard, interrupted });
  return {
    silenceMs: () => performance.now() - heardAt,
    begun: begun.promise,
    stop: async () => {
      stop.abort();
      begun.resolve();
      await ended;
    },
  };
}

async function follow<Seen extends SeenObject>(follower: Follower<Seen>): Promise<void> {
  const { signal } = follower;
  let version: number | null = null;
  let listedAt = 0;
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      if (version === null || performance.now() - listedAt > RELIST_MS) {
        version = await list(follower);
        listedAt = performance.now();
      }
      const openedAt = performance.now();
      for await (const reached of watchFrom(follower, version)) {
        version = reached;
        pauseMs = FIRST_PAUSE_MS;
      }
      pauseMs = FIRST_PAUSE_MS;
      if (performance.now() - openedAt < SHORT_WATCH_MS) await pause(SHORT_WATCH_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      const isGone = error instanceof VersionGone || isStatus(error, 410);
      // A second failure in a row, or one in the middle of an event: only a list is sure to heal it.
      if (isGone || pauseMs > FIRST_PAUSE_MS || !(error instanceof ApiError)) version = null;
      if (!isGone) follower.interrupted(error);
      await pause(error instanceof ApiError && error.retryAfterMs !== null ? error.retryAfterMs : pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }
}

async function list<Seen extends SeenObject>(follower: Follower<Seen>): Promise<number> {
  const { api, kind, reader, selector, signal } = follower;
  const { objects, version } = await listObjects(api, kind, { selector, signal });
  reader.listed(objects, version);
  follower.heard();
  return version;
}

/**
 * Hands events to the reader until the server ends the watch or falls silent; yields the version that each
 * step has reached. @throws VersionGone, ApiError
 */
async function* watchFrom<Seen extends SeenObject>(follower: Follower<Seen>, version: number): AsyncGenerator<number> {
  const { api, kind, selector, signal, heard } = follower;
  const silence = createSilence(follower.silenceMs ?? SILENCE_MS);
  const query = {
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion: version,
    timeoutSeconds: WATCH_SECONDS,
    labelSelector: selector,
  };
  try {
    const pieces = await api.stream({
      path: kind.path,
      query,
      signal: AbortSignal.any([signal, silence.signal]),
      timeoutMs: OPEN_TIMEOUT_MS,
    });
    heard();
    silence.broken();
    for await (const line of linesOf(pieces)) {
      heard();
      silence.broken();
      const { type, object } = parseObjects(line) as WatchEvent;
      if (type === "ERROR") throw errorOfEvent(object as StatusJson);
      if (type !== "BOOKMARK") tell(follower, type, object);
      yield Number((object as { metadata: { resourceVersion: string } }).metadata.resourceVersion);
    }
  } catch (error) {
    if (!silence.signal.aborted) throw error;
    // Idle connections are as old: the next request must not get one of them.
    api.reconnect();
  } finally {
    silence.end();
  }
}

interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: unknown;
}

interface StatusJson {
  code?: number;
  reason?: string;
  message?: string;
}

function tell<Seen extends SeenObject>({ kind, reader }: Follower<Seen>, type: WatchEvent["type"], object: unknown) {
  const seen = kind.keep(object);
  if (type === "DELETED") reader.removed(seen);
  else reader.changed(seen);
}

function errorOfEvent({ code, reason, message }: StatusJson): Error {
  if (code === 410) return new VersionGone(message);
  return new ApiError({ status: code ?? null, reason: reason ?? "", message: message ?? "the watch failed" });
}

/** Aborts its signal when it has not been broken for so long. */
function createSilence(limitMs: number) {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), limitMs);
  return { signal: over.signal, broken: () => void timer.refresh(), end: () => clearTimeout(timer) };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
}
