/** `myzel psql`: the operator's login, never on a command line. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { findProgram } from "../../engine/cli/find-program.ts";
import { psqlEnvironment } from "../../engine/cli/database/psql-environment.ts";
import { testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { myzel, temporaryDirectory } from "./run-myzel.ts";

describe("myzel psql", { skip: findProgram("psql") === null && "psql is not installed" }, () => {
  let database: TestDatabase;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  before(async () => {
    database = await testDatabase();
    directory = await temporaryDirectory();
  });
  after(async () => {
    await database.close();
    await directory.remove();
  });
  const run = (args: readonly string[], env: Record<string, string> = {}, input = "") =>
    myzel(["psql", ...args], {
      input,
      env: { DATABASE_URL: database.url("operator"), MYZEL_DATA_DIR: directory.path, ...env },
    });

  it("runs with the operator's login and passes arguments and standard input on", async () => {
    const user = await run(["--", "-Atc", "select current_user, current_setting('application_name')"]);
    assert.deepEqual([user.code, user.stdout], [0, `${new URL(database.url("operator")).username}|myzel psql\n`]);
    assert.equal((await run(["--", "-At"], {}, "select 1 + 1;\n")).stdout, "2\n");
    assert.equal((await run(["-At", "-c", "select 3", "-c", "select 4"])).stdout, "3\n4\n", "-- is not needed");
  });

  it("files a task by plain SQL", async () => {
    const ran = await run(["--", "-c", "insert into tasks (addressee, prompt) values ('worker-1', 'Say hello')"]);
    assert.deepEqual([ran.code, ran.stdout], [0, "INSERT 0 1\n"]);
  });

  it("the password is on no command line, and settings of psql's own point it nowhere else", async () => {
    const shown = await run(
      ["--", "-At"],
      { PGSERVICE: "elsewhere", PGDATABASE: "elsewhere", PGHOST: "elsewhere" },
      "\\! tr '\\0' ' ' < /proc/$PPID/cmdline\n",
    );
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /psql .*-At/);
    const { password } = new URL(database.url("operator"));
    assert.ok(password.length > 8 && !shown.stdout.includes(password));
  });

  it("a failing statement is exit code 1, a server that is not there 3, a missing psql 2", async () => {
    assert.equal((await run(["--", "-c", "select nonsense"])).code, 1);
    assert.equal((await run(["--", "-c", "select 1"], { DATABASE_URL: "postgresql://x:y@127.0.0.1:1/z" })).code, 3);
    // A PATH with what bin/myzel needs, and no psql.
    const programs = join(directory.path, "programs");
    await mkdir(programs);
    for (const name of ["dirname", "readlink", "uname"]) await symlink(findProgram(name) ?? "", join(programs, name));
    await symlink(process.execPath, join(programs, "node"));
    const missing = await run([], { PATH: programs });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /psql is not installed: apt install postgresql-client/);
  });

  it("every part of a URL reaches psql: escaped characters, socket directories, TLS settings", () => {
    const of = (url: string) => {
      const {
        PSQL_PAGER: _,
        PGAPPNAME: __,
        ...rest
      } = psqlEnvironment(url, { PATH: "/bin", PGSERVICE: "x", PGSSLMODE: "x" });
      return rest;
    };
    assert.deepEqual(of("postgresql://us%40er:p%2Fw%3A@[::1]:5433/my%20db?sslmode=require"), {
      PATH: "/bin",
      PGHOST: "::1",
      PGPORT: "5433",
      PGUSER: "us@er",
      PGPASSWORD: "p/w:",
      PGDATABASE: "my db",
      PGSSLMODE: "require",
    });
    assert.deepEqual(of("postgresql:///myzel?host=/run/pg&user=u&password=p"), {
      PATH: "/bin",
      PGHOST: "/run/pg",
      PGUSER: "u",
      PGPASSWORD: "p",
      PGDATABASE: "myzel",
    });
  });
});
