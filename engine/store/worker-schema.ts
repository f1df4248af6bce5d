/**
 * graphile-worker's own schema, owned by the engine's role: its tables have row security on, so only
 * their owner can work with them, and the owner may bring them up to date when the library is updated.
 */
import { Logger, runMigrations } from "graphile-worker";
import pg from "pg";

const SCHEMA = "graphile_worker";

/** Its messages while migrating are of no use to anybody here; what fails is thrown. */
const silent = new Logger(() => () => {});

/**
 * Makes or updates the schema; does nothing where the roles are not there. The caller's user owns the
 * database, and nobody else migrates it at the same time.
 * @throws errors of the database as they are
 */
export async function installWorkerSchema(options: {
  client: pg.Client;
  url: string;
  rolePrefix: string;
}): Promise<void> {
  const { client, url, rolePrefix } = options;
  const engine = `${rolePrefix}_engine`;
  // Since Postgres 16 whoever makes a role administers it without being able to become it.
  const setIsSeparate = await hasSeparateSet(client);
  const { rows } = await client.query<{
    has_role: boolean;
    may_become: boolean;
    has_schema: boolean;
    database: string;
  }>(
    `select count(r.oid) > 0 as has_role,
            coalesce(bool_or(pg_has_role(r.oid, case when $3 then 'set' else 'member' end)), false) as may_become,
            to_regnamespace($2) is not null as has_schema,
            current_database() as database
     from (values ($1)) as wanted (name) left join pg_roles r on r.rolname = wanted.name`,
    [engine, SCHEMA, setIsSeparate],
  );
  const [found] = rows;
  if (!found?.has_role) return;
  const role = pg.escapeIdentifier(engine);
  const database = pg.escapeIdentifier(found.database);
  if (!found.may_become) await client.query(`grant ${role} to current_user`);
  if (found.has_schema) return migrateAs(engine, url);
  await client.query(`grant create on database ${database} to ${role}`);
  try {
    await migrateAs(engine, url);
  } finally {
    await client.query(`revoke create on database ${database} from ${role}`);
  }
}

async function hasSeparateSet(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ it: boolean }>(
    "select current_setting('server_version_num')::int >= 160000 as it",
  );
  return rows[0]?.it ?? false;
}

async function migrateAs(role: string, url: string): Promise<void> {
  const pgPool = new pg.Pool({ connectionString: url, max: 1, options: `-c role=${role}` });
  // A broken connection is the next statement's error. The library wants both handlers.
  pgPool.on("error", () => {});
  pgPool.on("connect", (client) => client.on("error", () => {}));
  try {
    await runMigrations({ pgPool, schema: SCHEMA, logger: silent });
  } finally {
    await pgPool.end();
  }
}
