/** What `up` says once it is up: how to file a task with psql and with the command line. Holds no password. */
import { join, relative } from "node:path";
import type { Config } from "../../config.ts";
import { defaultDataDir } from "../../data-directory.ts";
import { psqlEnvironment } from "../database/psql-environment.ts";
import { findProgram } from "../find-program.ts";

export function howToBegin(options: { config: Config; operatorUrl: string; embedded: boolean }): string {
  const { config, operatorUrl, embedded } = options;
  const myzel = `${dataDirPrefix(config)}${programName()}`;
  const place = psqlEnvironment(operatorUrl, {});
  const plainPsql = [
    "psql",
    ...(place["PGHOST"] ? ["-h", place["PGHOST"]] : []),
    ...(place["PGPORT"] ? ["-p", place["PGPORT"]] : []),
    ...(place["PGUSER"] ? ["-U", place["PGUSER"]] : []),
    place["PGDATABASE"] ?? "",
  ].join(" ");
  return `
Myzel is up${embedded ? `; its database listens on ${place["PGHOST"]}:${place["PGPORT"]}` : ""}. Ctrl-C stops it.

File a task from another terminal:
  ${myzel} enqueue "Say hello" --no-repo --wait
  ${myzel} psql -c "insert into tasks (addressee, prompt) values ('worker-1', 'Say hello')"
or with a psql of your own (the password stands in ${join(config.dataDir, "logins.json")}):
  ${plainPsql}
See what becomes of it:
  ${myzel} tasks
  ${myzel} logs -f @last
`;
}

/** A new terminal does not know of a data directory that was set in this one. */
function dataDirPrefix(config: Config): string {
  return config.dataDir === defaultDataDir(process.env) ? "" : `MYZEL_DATA_DIR=${config.dataDir} `;
}

function programName(): string {
  if (findProgram("myzel") !== null) return "myzel";
  const path = join(import.meta.dirname, "..", "..", "..", "bin", "myzel");
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}
