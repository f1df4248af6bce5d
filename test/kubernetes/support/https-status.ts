/** One request with a client certificate, for before a Kubernetes client is worth its while. */
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import type { Certificate } from "./certificates.ts";

const TIMEOUT_MS = 5_000;

/** The status of a GET; null where nobody answers. */
export async function httpsStatus(
  url: string,
  options: { caFile: string; client: Certificate },
): Promise<number | null> {
  const [ca, cert, key] = await Promise.all(
    [options.caFile, options.client.certFile, options.client.keyFile].map((file) => readFile(file)),
  );
  return new Promise((resolve) => {
    const sent = request(url, { ca, cert, key, agent: false, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      response.once("close", () => resolve(response.statusCode ?? null));
    });
    sent.once("timeout", () => sent.destroy());
    sent.once("error", () => resolve(null));
    sent.end();
  });
}
