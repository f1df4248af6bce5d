/** Where a control plane lies and listens, and who may be its client. */
import { join } from "node:path";
import { writeKubeconfig, type Authority } from "./certificates.ts";

export interface Place {
  readonly directory: string;
  readonly etcdUrl: string;
  readonly peerUrl: string;
  readonly apiPort: number;
  readonly authority: Authority;
}

export function serverUrl({ apiPort }: Place): string {
  return `https://127.0.0.1:${apiPort}`;
}

/** Makes a client's certificate and kubeconfig; returns the path of the latter. */
export async function writeClient(place: Place, options: { name: string; subject: string }): Promise<string> {
  const { authority, directory } = place;
  const path = join(directory, `${options.name}.kubeconfig`);
  await writeKubeconfig(path, { server: serverUrl(place), authority, client: await authority.sign(options) });
  return path;
}
