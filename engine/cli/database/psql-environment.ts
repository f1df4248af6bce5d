/** The variables by which psql (libpq) finds the database of a URL. Pure. */

/** Parameters of a URL and the variables that libpq reads instead; those without one are left out. */
const PARAMETERS: Readonly<Record<string, string>> = {
  host: "PGHOST",
  port: "PGPORT",
  user: "PGUSER",
  password: "PGPASSWORD",
  dbname: "PGDATABASE",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  options: "PGOPTIONS",
  connect_timeout: "PGCONNECT_TIMEOUT",
  channel_binding: "PGCHANNELBINDING",
  target_session_attrs: "PGTARGETSESSIONATTRS",
};

/** `environment` without what may point psql elsewhere, with the URL's login and place. */
export function psqlEnvironment(url: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const result: NodeJS.ProcessEnv = { ...environment, PGAPPNAME: "myzel psql" };
  // A service file would win over all that follows.
  for (const name of ["PGSERVICE", "PGHOSTADDR", ...Object.values(PARAMETERS)]) delete result[name];
  const given: Record<string, string> = {
    PGHOST: decodeURIComponent(hostname).replace(/^\[(.*)\]$/, "$1"),
    PGPORT: port,
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
  };
  for (const [parameter, variable] of Object.entries(PARAMETERS)) {
    const value = searchParams.get(parameter) ?? given[variable] ?? "";
    if (value !== "") result[variable] = value;
  }
  // What `myzel up` prints on a terminal is read there too: long rows are paged by less as they are.
  result["PSQL_PAGER"] ??= environment["PAGER"] ?? "less -FRSX";
  return result;
}
