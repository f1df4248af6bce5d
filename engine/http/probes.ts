/**
 * `/livez` and `/readyz`, for a kubelet: 200 `ok`, or 503 and a sentence. That they are answered at all shows that the
 * event loop turns. They say nothing that is secret and change nothing, so they ask for no login.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Health } from "../health.ts";

export interface Probes {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves them on all addresses; port 0 is any free one. @throws Error (`EADDRINUSE` …) where the port cannot be had */
export async function serveProbes(options: { port: number; health: Health }): Promise<Probes> {
  const server = createServer((request, response) => answer(request, response, options.health));
  server.listen(options.port);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function answer({ method, url }: IncomingMessage, response: ServerResponse, health: Health): void {
  const path = url?.split("?")[0];
  if (path !== "/livez" && path !== "/readyz") return say(response, 404, "Here are /livez and /readyz.");
  if (method !== "GET" && method !== "HEAD") return say(response, 405, "Only GET and HEAD.");
  const problem = path === "/livez" ? health.liveProblem() : health.readyProblem();
  say(response, problem === null ? 200 : 503, problem ?? "ok");
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${text}\n`);
}
