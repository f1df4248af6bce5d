/**
 * A TCP proxy before Postgres that can be made as bad as a network: cut, half-open (nothing is forwarded,
 * nothing is closed), slow, and deaf to notifications. It knows the boundaries of the backend's messages,
 * so that dropping or holding back a NotificationResponse leaves everything else whole.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface Proxy {
  readonly port: number;
  /** What happens to notifications from now on. */
  notifications: "pass" | "drop" | "delay";
  notificationDelayMs: number;
  /** Added to every chunk, in both directions. */
  latencyMs: number;
  /** Notifications that were really dropped or held back. */
  readonly disturbed: { dropped: number; delayed: number };
  connections(): Connection[];
  /** Half-open as a whole: connections made from now on too. */
  freeze(): void;
  /** What was held back flows again, late. */
  thaw(): void;
  close(): Promise<void>;
}

export interface Connection {
  /** Closes it on both sides at once. */
  cut(): void;
  freeze(): void;
  thaw(): void;
}

const NOTIFICATION = "A".charCodeAt(0);

/** @param target the server's port, asked anew for each connection */
export async function startProxy(target: () => number): Promise<Proxy> {
  const live = new Set<Connection>();
  let gate: Gate | null = null;
  const server = createServer((client) => {
    const upstream = connect(target(), "127.0.0.1");
    const connection = join(proxy, client, upstream);
    live.add(connection);
    if (gate !== null) connection.freeze();
    client.once("close", () => live.delete(connection));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: Proxy = {
    port: (server.address() as AddressInfo).port,
    notifications: "pass",
    notificationDelayMs: 0,
    latencyMs: 0,
    disturbed: { dropped: 0, delayed: 0 },
    connections: () => [...live],
    freeze: () => {
      gate = newGate();
      for (const connection of live) connection.freeze();
    },
    thaw: () => {
      gate = null;
      for (const connection of live) connection.thaw();
    },
    close: async () => {
      for (const connection of live) connection.cut();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}

interface Gate {
  opened: Promise<void>;
  open(): void;
}

function newGate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

function join(proxy: Proxy, client: Socket, upstream: Socket): Connection {
  let gate: Gate | null = null;
  const cut = (): void => {
    client.destroy();
    upstream.destroy();
  };
  const held = async (): Promise<void> => {
    if (proxy.latencyMs > 0) await delay(proxy.latencyMs);
    while (gate !== null) await gate.opened;
  };
  const filter = notificationFilter(proxy, (late) => {
    if (!client.destroyed) client.write(late);
  });
  void pump({ from: client, to: upstream, held, pass: (chunk) => [chunk] });
  void pump({ from: upstream, to: client, held, pass: filter });
  return {
    cut,
    freeze: () => (gate ??= newGate()),
    thaw: () => {
      gate?.open();
      gate = null;
    },
  };
}

/** Forwards until one side ends; the other side is told only once nothing holds it back. */
async function pump(way: {
  from: Socket;
  to: Socket;
  held: () => Promise<void>;
  pass: (chunk: Buffer) => Buffer[];
}): Promise<void> {
  way.to.on("error", () => undefined);
  try {
    for await (const chunk of way.from) {
      await way.held();
      for (const part of way.pass(chunk as Buffer)) way.to.write(part);
    }
  } catch {
    // Cut: the other side learns of it below.
  }
  await way.held();
  way.to.destroy();
}

/** Takes the backend's bytes, returns what to forward now; held-back notifications go to `late`, whole. */
function notificationFilter(proxy: Proxy, late: (message: Buffer) => void): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const parts: Buffer[] = [];
    let start = 0;
    let at = 0;
    while (at + 5 <= bytes.length) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      if (bytes[at] === NOTIFICATION && proxy.notifications !== "pass") {
        if (at > start) parts.push(bytes.subarray(start, at));
        disturb(proxy, Buffer.from(bytes.subarray(at, end)), late);
        start = end;
      }
      at = end;
    }
    if (at > start) parts.push(bytes.subarray(start, at));
    rest = Buffer.from(bytes.subarray(at));
    return parts;
  };
}

function disturb(proxy: Proxy, message: Buffer, late: (message: Buffer) => void): void {
  if (proxy.notifications === "drop") {
    proxy.disturbed.dropped++;
    return;
  }
  proxy.disturbed.delayed++;
  setTimeout(late, proxy.notificationDelayMs, message).unref();
}
