/** What lies behind the node: somebody listens on some ports of all of the world's addresses (see network.ts). */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../support/waiting.ts";
import { startDaemon } from "./daemon.ts";
import { PLACE } from "./place.ts";

const WORLD_PORTS = [22, 80, 443];

/** Resolves when all of them listen. */
export async function startWorld(): Promise<void> {
  // In the node's directory, by which machine.ts finds the process.
  const program = join(PLACE.directory, "world.cjs");
  const logFile = join(PLACE.directory, "world.log");
  await writeFile(program, listenerScript(WORLD_PORTS));
  const world = await startDaemon({
    program: process.execPath,
    args: [program],
    enter: ["nsenter", `--net=/run/netns/${PLACE.worldNetwork}`, "--"],
    path: process.env["PATH"] ?? "",
    logFile,
  });
  await eventually("the world listens", async () => {
    await world.checkAlive();
    return (await readFile(logFile, "utf8")).split("listening").length > WORLD_PORTS.length;
  });
}

/** A program that takes connections on these ports, of all addresses, and says so once for each. */
export function listenerScript(ports: readonly number[]): string {
  return `
const { createServer } = require("node:net");
for (const port of ${JSON.stringify(ports)}) {
  createServer((socket) => { socket.on("error", () => {}); socket.end(); }).listen(port, "0.0.0.0", () => console.log("listening"));
}
process.on("SIGTERM", () => process.exit(0));
`;
}

/** A program that prints, as \`REACHED [...]\`, which of these addresses (\`host:port\`) take a connection. */
export function reachScript(targets: readonly string[]): string {
  return [
    `const { connect } = require("node:net");`,
    `const reach = (target) => new Promise((resolve) => {`,
    `const [host, port] = target.split(":");`,
    `const socket = connect({ host, port: Number(port), timeout: 3000 });`,
    `const end = (how) => { socket.destroy(); resolve(how); };`,
    `socket.on("connect", () => end(true)).on("timeout", () => end(false)).on("error", () => end(false));`,
    `});`,
    `const targets = ${JSON.stringify(targets)};`,
    `Promise.all(targets.map(reach)).then((found) =>`,
    `console.log("REACHED " + JSON.stringify(targets.filter((_, index) => found[index]))));`,
  ].join(" ");
}
