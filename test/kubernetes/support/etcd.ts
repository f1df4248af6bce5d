/** What tests ask of the cluster's etcd, by the JSON gateway that etcd brings along. */

/** Forgets every version but the newest; resolves when the data is really gone. */
export async function compactAll(etcdUrl: string): Promise<void> {
  const anyKey = Buffer.from("/").toString("base64");
  const { header } = await call(`${etcdUrl}/v3/kv/range`, { key: anyKey });
  await call(`${etcdUrl}/v3/kv/compaction`, { revision: header.revision, physical: true });
}

async function call(url: string, body: unknown): Promise<{ header: { revision: string } }> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`etcd answers ${response.status} to ${url}: ${text}`);
  return JSON.parse(text) as { header: { revision: string } };
}
