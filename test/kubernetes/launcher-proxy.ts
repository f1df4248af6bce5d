/** A TCP proxy before the API server that can be made as bad as a network: closed, cut, half open. */
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface ApiProxy {
  /** Path of a kubeconfig that leads through the proxy. */
  readonly kubeconfig: string;
  /** How many connections there are now. */
  readonly connections: number;
  /** Closes every connection; new ones are taken. */
  cut(): void;
  /** Every connection there is stays open and says nothing more; new ones work. */
  freeze(): void;
  /** What is asked on the connections there are reaches the server; its answers are lost. No new connection, until `restore`. */
  muffle(): void;
  /** Cuts and takes no new connection, until `restore`. */
  block(): void;
  restore(): void;
  close(): Promise<void>;
}

/** @param directory where its kubeconfig is written */
export async function startApiProxy(kubeconfig: string, directory: string): Promise<ApiProxy> {
  const text = await readFile(kubeconfig, "utf8");
  const server = new URL(/server"?: *"?(https:\/\/[^\s",]+)/.exec(text)?.[1] ?? "");
  const pairs = new Set<[Socket, Socket]>();
  let blocked = false;
  const listener = createServer((client) => {
    if (blocked) return void client.destroy();
    const upstream = connect(Number(server.port), server.hostname);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    client.pipe(upstream).pipe(client);
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const through = `${directory}/through-proxy-${port}.kubeconfig`;
  await writeFile(through, text.replaceAll(server.host, `127.0.0.1:${port}`));
  const cut = (): void => pairs.forEach(([client]) => client.destroy());
  return {
    kubeconfig: through,
    get connections() {
      return pairs.size;
    },
    cut,
    freeze: () => {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        client.pause();
        upstream.pause();
      }
    },
    muffle: () => {
      blocked = true;
      for (const [client, upstream] of pairs) upstream.unpipe(client).resume();
    },
    block: () => {
      blocked = true;
      cut();
    },
    restore: () => {
      blocked = false;
    },
    close: async () => {
      cut();
      listener.close();
      await once(listener, "close");
    },
  };
}
