import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { ensureLogins } from "../../engine/embedded-postgres/logins.ts";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";
import { ping } from "../../engine/embedded-postgres/ping.ts";
import { serverProcesses } from "../../engine/embedded-postgres/processes.ts";
import { holdUpLock } from "../../engine/embedded-postgres/up-lock.ts";

const log = { info: () => {}, warn: () => {} };

/** A data directory; whatever server runs in it at the end is killed. */
async function dataDir(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "myzel-embedded-"));
  const dir = join(root, "data");
  t.after(async () => {
    for (const pid of await serverProcesses(join(dir, "postgres"))) killIfAlive(pid);
    await until(async () => (await serverProcesses(join(dir, "postgres"))).length === 0);
    await rm(root, { recursive: true, force: true });
  });
  if (process.getuid?.() === 0) await chmod(root, 0o711);
  return dir;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows as unknown[];
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, "the condition was not met within a minute");
    await delay(20);
  }
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
  }
}

/** Another process that runs `up`'s part of the job. */
function startElsewhere(t: TestContext, dir: string): ChildProcess {
  const program = join(import.meta.dirname, "start-server.ts");
  const child = spawn(process.execPath, [program, dir], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return line;
}

test("the first start makes a database with UTF8 and checksums, the second finds what the first one stored", async (t) => {
  const dir = await dataDir(t);
  const first = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.equal(first.adopted, false);
  await query(first.adminUrl, "create table kept as select 42 as x");
  const settings = await query(
    first.adminUrl,
    `select current_database() as db, current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
       current_setting('data_checksums') as checksums, current_setting('listen_addresses') as addresses,
       (select datlocale from pg_database where datname = current_database()) as locale`,
  );
  const expected = {
    db: "myzel",
    encoding: "UTF8",
    fsync: "on",
    checksums: "on",
    addresses: "127.0.0.1",
    locale: "C.UTF-8",
  };
  assert.deepEqual(settings, [expected]);
  await first.stop();
  assert.deepEqual(await serverProcesses(join(dir, "postgres")), []);

  const second = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.equal(second.port, first.port);
  assert.deepEqual(await query(second.adminUrl, "select x from kept"), [{ x: 42 }]);
  await second.stop();
  await second.stop();
});

test("after kill -9 of the starter the server lives on, and the next start adopts it", async (t) => {
  const dir = await dataDir(t);
  const starter = startElsewhere(t, dir);
  const { pid } = JSON.parse(await firstLine(starter)) as { pid: number };
  starter.kill("SIGKILL");
  await once(starter, "exit");

  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.equal(server.adopted, true);
  assert.equal(server.pid, pid);
  assert.deepEqual(await query(server.adminUrl, "select 1 as one"), [{ one: 1 }]);
  await server.stop();
  assert.deepEqual(await serverProcesses(join(dir, "postgres")), []);
});

test("the server runs in a session of its own, with a clean environment, not as root", async (t) => {
  const dir = await dataDir(t);
  process.env["MYZEL_TEST_LEAK"] = "do-not-hand-on";
  t.after(() => delete process.env["MYZEL_TEST_LEAK"]);
  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  const status = await readFile(`/proc/${server.pid}/stat`, "utf8");
  const session = Number(status.slice(status.lastIndexOf(")") + 2).split(" ")[3]);
  assert.equal(session, server.pid);
  const environment = (await readFile(`/proc/${server.pid}/environ`, "utf8")).split("\0");
  assert.deepEqual(
    environment.filter((line) => !/^(PATH|LC_ALL|PG_GRANDPARENT_PID|)=?/.test(line)),
    [],
  );
  assert.ok(!environment.join().includes("do-not-hand-on"));
  assert.notEqual((await stat(`/proc/${server.pid}`)).uid, 0);
  await server.stop();
});

test("the password lies in a file of mode 0600 and nowhere else", async (t) => {
  const dir = await dataDir(t);
  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  const { password } = new URL(server.adminUrl);
  assert.ok(password.length >= 32);
  const file = join(dir, "postgres.json");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.ok(!(await readFile(`/proc/${server.pid}/cmdline`, "utf8")).includes(password));
  assert.ok(!(await readFile(join(dir, "postgres.log"), "utf8")).includes(password));
  assert.deepEqual((await readdir(dir)).toSorted(), ["postgres", "postgres.json", "postgres.lock", "postgres.log"]);
  const wrong = new URL(server.adminUrl);
  wrong.password = "guessed";
  await assert.rejects(query(wrong.href, "select 1"), { code: "28P01" });
  await server.stop();
});

test("a crash of everything leaves nothing to trip over, not even when the server's pid belongs to somebody else now", async (t) => {
  const dir = await dataDir(t);
  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  await query(server.adminUrl, "create table kept as select 42 as x");
  const cluster = join(dir, "postgres");
  const pidFile = await readFile(join(cluster, "postmaster.pid"), "utf8");
  for (const pid of await serverProcesses(cluster)) killIfAlive(pid);
  await until(async () => (await serverProcesses(cluster)).length === 0);
  // A live process of the very user the server runs as: Postgres itself would refuse to start over it.
  const { uid, gid } = await stat(cluster);
  const stranger = spawn("sleep", ["60"], process.getuid?.() === 0 ? { uid, gid, cwd: "/" } : {});
  t.after(() => stranger.kill("SIGKILL"));
  await once(stranger, "spawn");
  await writeFile(join(cluster, "postmaster.pid"), pidFile.replace(/^\d+/, String(stranger.pid)));

  const again = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.equal(again.adopted, false);
  assert.deepEqual(await query(again.adminUrl, "select x from kept"), [{ x: 42 }]);
  await again.stop();
});

/** The pid of a backend that does nothing until somebody lets it go on. */
async function stoppedBackend(t: TestContext, url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.end().catch(() => {}));
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const { pid } = rows[0] ?? assert.fail("no backend");
  process.kill(pid, "SIGSTOP");
  return pid;
}

test("backends that outlive their killed postmaster are gone before a new server starts", async (t) => {
  const dir = await dataDir(t);
  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  const backend = await stoppedBackend(t, server.adminUrl); // it does not notice the end of its postmaster
  process.kill(server.pid, "SIGKILL");
  const again = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.equal(again.adopted, false);
  assert.ok(!(await serverProcesses(join(dir, "postgres"))).includes(backend));
  await again.stop();
});

test("a server that is being shut down is waited for, and a new one started", async (t) => {
  const dir = await dataDir(t);
  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  const backend = await stoppedBackend(t, server.adminUrl); // it holds the shutdown up
  process.kill(server.pid, "SIGINT");
  await until(async () => (await ping(server.adminUrl)) === "not yet");
  const starting = startEmbeddedPostgres({ dataDir: dir, log });
  await delay(500); // it has met the old one by now; on a slow machine this shows less
  process.kill(backend, "SIGCONT");
  const again = await starting;
  assert.equal(again.adopted, false);
  assert.deepEqual(await query(again.adminUrl, "select 1 as one"), [{ one: 1 }]);
  await again.stop();
});

test("a port that somebody else has taken meanwhile is replaced by a new one", async (t) => {
  const dir = await dataDir(t);
  const first = await startEmbeddedPostgres({ dataDir: dir, log });
  await first.stop();
  const squatter = createServer().listen(first.port, "127.0.0.1");
  await once(squatter, "listening");
  t.after(() => squatter.close());
  const second = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.notEqual(second.port, (squatter.address() as AddressInfo).port);
  assert.deepEqual(await query(second.adminUrl, "select 1 as one"), [{ one: 1 }]);
  await second.stop();
});

test("a first start that was killed while it made the database is simply done again", async (t) => {
  const dir = await dataDir(t);
  const starter = startElsewhere(t, dir);
  await until(async () => (await readdir(dir).catch(() => [])).some((name) => name.startsWith("postgres.new-")));
  starter.kill("SIGKILL");
  await once(starter, "exit");
  assert.ok(!(await readdir(dir)).includes("postgres"));
  const server = await startEmbeddedPostgres({ dataDir: dir, log });
  assert.deepEqual(await query(server.adminUrl, "select 1 as one"), [{ one: 1 }]);
  await server.stop();
  await (await startEmbeddedPostgres({ dataDir: dir, log })).stop();
  assert.ok(!(await readdir(dir)).some((name) => name.startsWith("postgres.new-")));
});

test("no password reaches the server's log, not even when every statement is logged", async (t) => {
  const dir = await dataDir(t);
  const server = await startEmbeddedPostgres({ dataDir: dir, log, settings: { log_statement: "all" } });
  await migrateDatabase({ url: server.adminUrl, rolePrefix: "myzel", log });
  const logins = await ensureLogins({ adminUrl: server.adminUrl, rolePrefix: "myzel", dataDir: dir });
  await server.stop();
  const written = await readFile(join(dir, "postgres.log"), "utf8");
  assert.match(written, /create role "myzel_pod_login" login/);
  for (const url of [server.adminUrl, ...Object.values(logins)]) assert.ok(!written.includes(new URL(url).password));
});

test("a second up over the same directory is told who has it, and may come once the first was killed", async (t) => {
  const dir = await dataDir(t);
  const first = startElsewhere(t, dir);
  await firstLine(first);
  await assert.rejects(holdUpLock(dir), {
    name: "DatabaseError",
    message: new RegExp(`myzel is up already .*\\(process ${first.pid}\\)`),
  });
  first.kill("SIGKILL");
  await once(first, "exit");
  const lock = await holdUpLock(dir);
  await assert.rejects(holdUpLock(dir), new RegExp(`process ${process.pid}`));
  await lock.release();
  await (await holdUpLock(dir)).release();
  await (await startEmbeddedPostgres({ dataDir: dir, log })).stop();
});

test("a cluster of another major version is refused with a sentence", async (t) => {
  const dir = await dataDir(t);
  await (await startEmbeddedPostgres({ dataDir: dir, log })).stop();
  await writeFile(join(dir, "postgres", "PG_VERSION"), "17\n");
  await assert.rejects(startEmbeddedPostgres({ dataDir: dir, log }), {
    name: "DatabaseError",
    message: /was made by Postgres 17, but this Myzel brings Postgres 18/,
  });
});

test("a lost or spoiled password file is said plainly, without quoting it", async (t) => {
  const dir = await dataDir(t);
  await (await startEmbeddedPostgres({ dataDir: dir, log })).stop();
  const file = join(dir, "postgres.json");
  await writeFile(file, '{"port":1,"password":"half-a-secr');
  await assert.rejects(startEmbeddedPostgres({ dataDir: dir, log }), (error: Error) => {
    assert.match(error.message, /holds no port and password/);
    assert.ok(!error.message.includes("half-a-secr"));
    return true;
  });
  await rm(file);
  await assert.rejects(startEmbeddedPostgres({ dataDir: dir, log }), /has lost .*postgres\.json/);
});

test("a server that cannot start says why in one sentence, followed by its own last words", async (t) => {
  const dir = await dataDir(t);
  await (await startEmbeddedPostgres({ dataDir: dir, log })).stop();
  await rm(join(dir, "postgres", "global"), { recursive: true });
  await assert.rejects(startEmbeddedPostgres({ dataDir: dir, log }), (error: Error) => {
    assert.match(error.message, /did not start: look into .*postgres\.log\. It said:\n/);
    assert.match(error.message, /could not find|No such file/);
    return true;
  });
});

test("where root starts it, a data directory in a place the server's user cannot enter is refused", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  const root = await mkdtemp(join(tmpdir(), "myzel-closed-"));
  t.after(() => rm(root, { recursive: true }));
  await mkdir(join(root, "data"), { mode: 0o700 });
  await assert.rejects(startEmbeddedPostgres({ dataDir: join(root, "data"), log }), /set MYZEL_DATA_DIR to a place/);
});
