/**
 * The process that owns the Postgres cluster of a test run. Started by the first test file that needs a
 * database (see test-cluster.ts), in a session of its own.
 *
 * Test processes hold a connection to its socket for as long as they live; when the last one has been gone
 * for a few seconds, the server stops, its directory goes, and this process ends. The socket lies in
 * Linux's abstract namespace: the kernel frees its name with the process, so nothing stale can lie about.
 * Two owners that start at once: the second cannot have the name, and leaves.
 */
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";

const LINGER_MS = 5_000;

const [socketName, dataDir] = process.argv.slice(2);
if (socketName === undefined || dataDir === undefined) throw new Error("usage: cluster-owner.ts SOCKET DIRECTORY");

/** What every client is told, once: one line of JSON. */
export interface OwnerAnswer {
  readonly adminUrl?: string;
  readonly error?: string;
}

const clients = new Set<Socket>();
let answer: OwnerAnswer | null = null;
let closing = false;
let linger: NodeJS.Timeout | undefined;

const server = createServer((client) => {
  client.on("error", () => client.destroy());
  if (closing) return void client.destroy();
  clients.add(client);
  clearTimeout(linger);
  client.once("close", () => {
    clients.delete(client);
    endWhenIdle();
  });
  client.resume();
  if (answer !== null) client.write(`${JSON.stringify(answer)}\n`);
});

server.listen(`\0${socketName}`);
try {
  await once(server, "listening");
} catch {
  process.exit(0); // another owner was first
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => void end());

// Whatever a killed owner left is stopped and begun anew: this process alone holds the name.
const running = await begin();
for (const client of clients) client.write(`${JSON.stringify(answer)}\n`);
endWhenIdle();

async function begin(): Promise<EmbeddedPostgres | null> {
  const log = { info: () => {}, warn: () => {} };
  const settings = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "300" };
  const options = { dataDir: dataDir as string, log, settings, durable: false };
  try {
    let cluster = await startEmbeddedPostgres(options);
    if (cluster.adopted) {
      await cluster.stop();
      await rm(dataDir as string, { recursive: true, force: true });
      cluster = await startEmbeddedPostgres(options);
    }
    answer = { adminUrl: cluster.adminUrl };
    return cluster;
  } catch (error) {
    answer = { error: (error as Error).message };
    return null;
  }
}

function endWhenIdle(): void {
  clearTimeout(linger);
  if (answer !== null && clients.size === 0) linger = setTimeout(() => void end(), LINGER_MS);
}

/** Keeps the name until everything is gone, so that the next owner finds a clean place. */
async function end(): Promise<void> {
  if (closing) return;
  closing = true;
  for (const client of clients) client.destroy();
  await running?.stop();
  await rm(dataDir as string, { recursive: true, force: true });
  process.exit(0);
}
