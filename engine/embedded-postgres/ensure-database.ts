/** Myzel's database in the embedded server. */
import pg from "pg";
import { SUPERUSER, type Connection } from "./cluster-files.ts";

/** Its name. */
export const DATABASE = "myzel";

/** Makes the database where it is missing. */
export async function ensureDatabase(connection: Connection): Promise<void> {
  const { port, password } = connection;
  const client = new pg.Client({ host: "127.0.0.1", port, user: SUPERUSER, password, database: "postgres" });
  client.on("error", () => {}); // a broken connection is the next statement's error
  await client.connect();
  try {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}
