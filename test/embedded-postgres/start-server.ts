/** Starts the embedded server of a directory as `up` would, says so on stdout, and stays until it is killed. */
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";
import { holdUpLock } from "../../engine/embedded-postgres/up-lock.ts";

const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("usage: start-server.ts DIRECTORY");

const log = { info: () => {}, warn: () => {} };
await holdUpLock(dataDir);
const server = await startEmbeddedPostgres({ dataDir, log });
console.log(JSON.stringify({ pid: server.pid, port: server.port, adopted: server.adopted }));
setInterval(() => {}, 60_000);
