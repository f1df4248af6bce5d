/** Ports for a server that starts later, or that clients go on calling while it is stopped. */
import { portIsFree } from "../../engine/embedded-postgres/port.ts";

/**
 * Below the range from which the kernel takes ports for outgoing connections (32768 and up): there, a client that
 * keeps calling a stopped server is in the end given that very port, connects to itself, and the server cannot come back.
 * Nor does a server that asks for any port get one of these before ours starts.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;

/** So many different ports on 127.0.0.1 that nobody listens on just now. */
export async function stablePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if (await portIsFree(port)) ports.add(port);
  }
  return [...ports];
}
