/** Lists all objects of one kind that carry our labels, page by page, keeping only what is needed of each. */
import type { Api } from "./api.ts";
import type { SeenObject } from "./seen.ts";

/** One kind of objects: where they are, and what is kept of each. */
export interface ObjectKind<Seen extends SeenObject> {
  /** For logs. */
  name: string;
  /** The collection's path. */
  path: string;
  keep(json: unknown): Seen;
}

/** Small enough that no page is felt in memory. */
const PAGE = 100;

/** What there is, and the version it is of: nothing older is missing. @throws ApiError */
export async function listObjects<Seen extends SeenObject>(
  api: Api,
  kind: ObjectKind<Seen>,
  options: { selector: string; signal?: AbortSignal | undefined },
): Promise<{ objects: Seen[]; version: number }> {
  const objects: Seen[] = [];
  let token = "";
  let version = 0;
  do {
    const query = { labelSelector: options.selector, limit: PAGE, ...(token === "" ? {} : { continue: token }) };
    const page = (await api.request({ path: kind.path, query, signal: options.signal })) as ListJson;
    for (const item of page.items) objects.push(kind.keep(item));
    version = Number(page.metadata.resourceVersion);
    token = page.metadata.continue ?? "";
  } while (token !== "");
  return { objects, version };
}

interface ListJson {
  metadata: { resourceVersion: string; continue?: string };
  items: unknown[];
}
