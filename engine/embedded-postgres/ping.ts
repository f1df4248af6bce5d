/** Asks a server whether it lets us in. */
import pg from "pg";

const TIMEOUT_MS = 5_000;

/** What the network says, and SQLSTATE too_many_connections; class 57P is the server's own word that it is not ready. */
const NOT_YET = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "53300"]);

/**
 * `not yet`: nobody listens, or the server is starting up, recovering, shutting down or has no connection free.
 * `refused`: it answers, and not the way it should: wrong password, or no Postgres at all.
 */
export async function ping(url: string): Promise<"ready" | "not yet" | "refused"> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: TIMEOUT_MS });
  // A connection that breaks later is the next statement's error; without a listener it would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("select 1");
    return "ready";
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    return code.startsWith("57P") || NOT_YET.has(code) ? "not yet" : "refused";
  } finally {
    await client.end().catch(() => {});
  }
}
