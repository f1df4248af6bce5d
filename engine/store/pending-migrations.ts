/** What migrating would do to a database. Reads only. */
import { asking, openSession } from "./connection.ts";
import { readSchemaFiles } from "./schema-files.ts";
import { checkServer, judgeSchema, schemaFacts } from "./schema-state.ts";

/**
 * Migrations not applied yet, and the sentence that says how the schema differs; null where it is current.
 * @throws SchemaError where the server or the database can never do
 */
export async function pendingMigrations(options: {
  url: string;
  rolePrefix: string;
}): Promise<{ migrations: string[]; sentence: string | null }> {
  const files = await readSchemaFiles();
  const session = await openSession({ url: options.url, applicationName: "myzel migrate", max: 1 });
  try {
    await asking(checkServer(session));
    const facts = await asking(schemaFacts(session, options.rolePrefix));
    const names = files.migrations.map((file) => file.name);
    return {
      migrations: names.filter((name) => !(facts.applied ?? []).includes(name)),
      sentence: judgeSchema(facts, files, options.rolePrefix).sentence,
    };
  } finally {
    await session.end().catch(() => undefined);
  }
}
