/** The part of a kubelet that serves logs: what a test lets containers say, as the API server asks for it. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Certificate } from "./support/certificates.ts";

export interface LogServer {
  readonly port: number;
  /** How many times a log was asked for. */
  readonly asked: number;
  say(container: string, text: string): void;
  /** The container has ended: those who follow its log come to its end. */
  end(container: string): void;
  /** Breaks off every answer that is under way. */
  cut(): void;
  close(): Promise<void>;
}

interface Log {
  lines: { time: string; text: string }[];
  ended: boolean;
}

export async function startLogServer(certificate: Certificate): Promise<LogServer> {
  const [cert, key] = await Promise.all([readFile(certificate.certFile), readFile(certificate.keyFile)]);
  const logs = new Map<string, Log>();
  const readers = new Map<ServerResponse, string>();
  let asked = 0;
  let nanoseconds = 0;
  const logOf = (container: string): Log => {
    const log = logs.get(container) ?? { lines: [], ended: false };
    logs.set(container, log);
    return log;
  };
  const write = (reader: ServerResponse, { time, text }: Log["lines"][number]) => reader.write(`${time} ${text}\n`);

  // GET /containerLogs/<namespace>/<pod>/<container>?follow=true&timestamps=true&sinceTime=…
  const server = createServer({ cert, key }, (request, response) => {
    asked += 1;
    const url = new URL(request.url ?? "/", "https://kubelet");
    const container = url.pathname.split("/")[4] ?? "";
    const since = url.searchParams.get("sinceTime") ?? "";
    const { lines, ended } = logOf(container);
    response.writeHead(200, { "content-type": "text/plain" });
    response.flushHeaders();
    for (const line of lines) if (line.time.slice(0, 19) >= since.slice(0, 19)) write(response, line);
    if (ended || url.searchParams.get("follow") !== "true") return void response.end();
    readers.set(response, container);
    response.on("close", () => readers.delete(response));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    port: (server.address() as AddressInfo).port,
    get asked() {
      return asked;
    },
    say: (container, text) => {
      const line = {
        time: `${new Date().toISOString().slice(0, 19)}.${String((nanoseconds += 1)).padStart(9, "0")}Z`,
        text,
      };
      logOf(container).lines.push(line);
      for (const [reader, of] of readers) if (of === container) write(reader, line);
    },
    end: (container) => {
      logOf(container).ended = true;
      for (const [reader, of] of readers) if (of === container) reader.end();
    },
    cut: () => readers.forEach((_, reader) => reader.destroy()),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
