/**
 * The Postgres server of a test run: an embedded one that all test processes of this checkout share, or
 * the server that MYZEL_TEST_DATABASE_URL names (a superuser's URL).
 */
import { join } from "node:path";
import { sharedService } from "./shared-service.ts";

const OWNER = join(import.meta.dirname, "cluster-owner.ts");
const START_TIMEOUT_MS = 180_000;

let shared: Promise<string> | undefined;

/** URL of the server's superuser, database `postgres`. The server stays at least as long as this process. */
export function testClusterUrl(): Promise<string> {
  return (shared ??= findCluster());
}

async function findCluster(): Promise<string> {
  const given = process.env["MYZEL_TEST_DATABASE_URL"];
  if (given) return given;
  const service = { name: "postgres", owner: OWNER, startTimeoutMs: START_TIMEOUT_MS };
  return (await sharedService<{ adminUrl: string }>(service)).adminUrl;
}
