/** The names of a Secret's keys. Values are neither kept nor shown. */
import type { Api } from "../api.ts";
import { isStatus } from "../api-error.ts";

/** Those that hold something; or why they cannot be told. */
export type Keys = readonly string[] | "missing" | "forbidden";

/** @throws ApiError where the server neither says yes nor no */
export async function keysOf(api: Api, name: string): Promise<Keys> {
  return readKeys(() => api.request({ path: secretPath(api, name) }));
}

/** By a change of nothing that is not carried out: for a Secret that may be written and not read. @throws ApiError */
export async function keysByPatch(api: Api, name: string): Promise<Keys> {
  return readKeys(() =>
    api.request({
      method: "PATCH",
      path: secretPath(api, name),
      query: { dryRun: "All", fieldManager: "myzel" },
      contentType: "application/merge-patch+json",
      body: {},
    }),
  );
}

async function readKeys(ask: () => Promise<unknown>): Promise<Keys> {
  try {
    const { data = {} } = (await ask()) as { data?: Record<string, string> };
    return Object.keys(data).filter((key) => data[key]);
  } catch (error) {
    if (isStatus(error, 404)) return "missing";
    if (isStatus(error, 403)) return "forbidden";
    throw error;
  }
}

function secretPath(api: Api, name: string): string {
  return `/api/v1/namespaces/${api.namespace}/secrets/${name}`;
}
