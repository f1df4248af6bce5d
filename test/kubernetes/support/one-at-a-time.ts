/**
 * A lock among the processes of one machine, for building what they share.
 *
 * It is a socket in Linux's abstract namespace: the kernel frees the name with the process that holds it, so a
 * killed holder leaves nothing to clear away. Whoever waits holds a connection, whose end says "look again".
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Does `work` while no other process does anything under that name. */
export async function oneAtATime<T>(name: string, work: () => Promise<T>): Promise<T> {
  const address = `\0myzel-lock-${createHash("sha256").update(name).digest("hex").slice(0, 24)}`;
  const lock = await hold(address);
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function hold(address: string): Promise<{ release(): void }> {
  for (;;) {
    const waiting = new Set<Socket>();
    const server = createServer((client) => {
      client.on("error", () => {});
      client.once("close", () => waiting.delete(client));
      waiting.add(client);
    });
    if (await listens(server, address)) {
      const release = (): void => {
        server.close();
        for (const client of waiting) client.destroy();
      };
      return { release };
    }
    await untilReleased(address);
  }
}

async function listens(server: Server, address: string): Promise<boolean> {
  server.listen(address);
  try {
    await once(server, "listening");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    return false;
  }
}

async function untilReleased(address: string): Promise<void> {
  const socket = connect(address);
  socket.on("error", () => {}); // a killed holder, or one that is gone in this moment
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));
}
