/**
 * The process that owns a server which test processes share (see shared-service.ts).
 *
 * When the last of them has been gone for a few seconds, the server stops and this process ends. The socket lies in
 * Linux's abstract namespace: the kernel frees its name with the process, so nothing stale can lie about. Two owners
 * that start at once: the second cannot have the name, and leaves.
 */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";

const LINGER_MS = 5_000;

/** What every client is told, once: one line of JSON. */
export interface OwnerMessage<Answer> {
  readonly answer?: Answer;
  readonly error?: string;
}

export interface OwnedServer<Answer> {
  readonly answer: Answer;
  /** Ends the server and removes what is left of it. */
  stop(): Promise<void>;
}

/**
 * Owns the server that `start` starts; the whole of an owner's program, whose arguments are the name of the socket and
 * a directory. What a killed owner left there is `start`'s to remove: this process alone holds the name.
 */
export async function ownService<Answer>(start: (directory: string) => Promise<OwnedServer<Answer>>): Promise<void> {
  const [socketName, directory] = process.argv.slice(2);
  if (socketName === undefined || directory === undefined) throw new Error("usage: OWNER SOCKET DIRECTORY");
  const clients = new Set<Socket>();
  let message: OwnerMessage<Answer> | null = null;
  let running: OwnedServer<Answer> | null = null;
  let closing = false;
  let linger: NodeJS.Timeout | undefined;

  /** Keeps the name until everything is gone, so that the next owner finds a clean place. */
  const end = async (): Promise<void> => {
    if (closing) return;
    closing = true;
    for (const client of clients) client.destroy();
    await running?.stop();
    process.exit(0);
  };
  const endWhenIdle = (): void => {
    clearTimeout(linger);
    if (message !== null && clients.size === 0) linger = setTimeout(() => void end(), LINGER_MS);
  };
  const tell = (client: Socket): void => void client.write(`${JSON.stringify(message)}\n`);

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
    if (message !== null) tell(client);
  });
  server.listen(`\0${socketName}`);
  try {
    await once(server, "listening");
  } catch {
    process.exit(0); // another owner was first
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => void end());

  try {
    running = await start(directory);
    message = { answer: running.answer };
  } catch (error) {
    message = { error: (error as Error).message };
  }
  for (const client of clients) tell(client);
  endWhenIdle();
}
