/** Creates an object as it is written: unknown fields are refused, which the client's own classes would drop. */
import { request, type RequestOptions } from "node:https";
import { text } from "node:stream/consumers";
import type { KubeConfig } from "@kubernetes/client-node";
import type { KubernetesObject } from "./kustomize.ts";

/** @throws Error with the API server's words */
export async function createObject(
  config: KubeConfig,
  object: KubernetesObject,
  options: { dryRun?: boolean } = {},
): Promise<void> {
  const query = `fieldValidation=Strict${options.dryRun === true ? "&dryRun=All" : ""}`;
  const url = new URL(`${config.getCurrentCluster()?.server}${pathOf(object)}?${query}`);
  const settings: RequestOptions = { method: "POST", headers: { "content-type": "application/json" } };
  await config.applyToHTTPSOptions(settings as Parameters<KubeConfig["applyToHTTPSOptions"]>[0]);
  const answer = await new Promise<{ status: number; body: string }>((resolve, reject) => {
    const sent = request(url, settings, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(object));
  });
  if (answer.status !== 201) throw new Error(`${object.kind} ${object.metadata.name}: ${answer.body}`);
}

/** Where objects of its kind are created. */
function pathOf({ apiVersion, kind, metadata }: KubernetesObject): string {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = kind.toLowerCase().replace(/y$/, "ie").concat("s");
  return metadata.namespace === undefined
    ? `${group}/${plural}`
    : `${group}/namespaces/${metadata.namespace}/${plural}`;
}
