/** The program that owns the Postgres cluster of a test run: see test-cluster.ts. */
import { rm } from "node:fs/promises";
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";
import { ownService } from "./service-owner.ts";

await ownService(async (dataDir) => {
  const log = { info: () => {}, warn: () => {} };
  const settings = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "300" };
  const options = { dataDir, log, settings, durable: false };
  let cluster = await startEmbeddedPostgres(options);
  if (cluster.adopted) {
    // What a killed owner left is stopped and begun anew.
    await cluster.stop();
    await rm(dataDir, { recursive: true, force: true });
    cluster = await startEmbeddedPostgres(options);
  }
  const stop = async (): Promise<void> => {
    await cluster.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  return { answer: { adminUrl: cluster.adminUrl }, stop };
});
