/**
 * `npm run demo`: the main job in under a minute, without an account. A throwaway database and git remote,
 * one task inserted by plain SQL, the real engine, the real Claude Code CLI, and instead of Claude a
 * scripted model on loopback. Everything it makes is gone at the end.
 */
import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { pino } from "pino";
import { startEmbeddedPostgres } from "../engine/embedded-postgres/embedded-postgres.ts";
import { ensureLogins } from "../engine/embedded-postgres/logins.ts";
import { runEngine } from "../engine/engine.ts";
import { createProcessLauncher } from "../engine/launch/process/process-launcher.ts";
import { migrateDatabase } from "../engine/store/migrate.ts";
import { startScriptedModel, text, toolUse } from "../test/support/scripted-model.ts";

const INSERT = `INSERT INTO tasks (addressee, prompt, repo_url, branch, created_by)
VALUES ($1, $2, $3, $4, $5) RETURNING id`;
const TIME_LIMIT_MS = 120_000;

const log = pino({ level: "silent" });
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
process.once("SIGTERM", () => stop.abort());

/** What is to be ended, last one first. */
const endings: (() => Promise<unknown>)[] = [];
try {
  await demo();
} catch (error) {
  if (!stop.signal.aborted) {
    console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
} finally {
  stop.abort();
  for (const end of endings.toReversed()) await end().catch(() => undefined);
}

async function demo(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "myzel-demo-"));
  await chmod(directory, 0o711);
  endings.push(() => rm(directory, { recursive: true, force: true }));

  say("A throwaway Postgres, a git remote, and a scripted model on loopback that plays Claude …");
  const server = await startEmbeddedPostgres({ dataDir: directory, log, durable: false });
  endings.push(() => server.stop());
  await migrateDatabase({ url: server.adminUrl, rolePrefix: "myzel", log });
  const logins = await ensureLogins({ adminUrl: server.adminUrl, rolePrefix: "myzel", dataDir: directory });
  const remote = makeRemote(directory);
  const model = await startScriptedModel([
    toolUse("Bash", {
      command:
        "printf 'print(\"Hello from Myzel\")\\n' > hello.py && git add hello.py && git commit -qm 'Add hello.py'",
    }),
    text("I added hello.py, which prints a greeting, and committed it."),
  ]);
  endings.push(() => model.close());

  await startEngine({ directory, engineUrl: logins.engine, podUrl: logins.pod, modelUrl: model.url });
  const client = new pg.Client({ connectionString: logins.operator });
  await client.connect();
  endings.push(() => client.end());

  const values = ["worker-1", "Write hello.py that prints a greeting.", remote, "hello", "me"];
  say(
    `\nOne row, inserted by plain SQL:\n\n${INSERT.replace(/\$(\d)/g, (_, n: string) => `'${values[Number(n) - 1]}'`)};\n`,
  );
  const { rows } = await client.query(INSERT, values);
  const task = await follow(client, rows[0].id);

  say(`\nThe row's result:\n\n${JSON.stringify(task.result, null, 2)}`);
  say(`\nThe remote's branch "hello":\n`);
  say(git(remote, "log", "--stat", "--format=commit %H%nAuthor: %an <%ae>%n%n    %s%n", "main..hello"));
  if (task.result["success"] !== true) throw new Error("the task did not succeed");
  say("\nThe model was scripted; database, engine, launcher, git and the Claude Code CLI were real.");
  say("With an account: npx claude setup-token, then bin/myzel login, then npm start -- --launcher process.");
}

/** A bare repository with one commit, which the run's user may read and push to through the launcher. */
function makeRemote(directory: string): string {
  const remote = join(directory, "project.git");
  git(directory, "init", "-q", "--bare", "-b", "main", remote);
  const tree = git(remote, "hash-object", "-t", "tree", "-w", "--stdin").trim();
  const commit = git(remote, "commit-tree", tree, "-m", "Begin").trim();
  git(remote, "update-ref", "refs/heads/main", commit);
  return `file://${remote}`;
}

function git(cwd: string, ...args: string[]): string {
  const identity = { NAME: "Demo", EMAIL: "demo@example.invalid" };
  return execFileSync("git", args, {
    cwd: cwd.replace(/^file:\/\//, ""),
    encoding: "utf8",
    input: "",
    env: {
      PATH: process.env["PATH"],
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_AUTHOR_NAME: identity.NAME,
      GIT_AUTHOR_EMAIL: identity.EMAIL,
      GIT_COMMITTER_NAME: identity.NAME,
      GIT_COMMITTER_EMAIL: identity.EMAIL,
    },
  });
}

/** Resolves once the engine leads. */
async function startEngine(where: {
  directory: string;
  engineUrl: string;
  podUrl: string;
  modelUrl: string;
}): Promise<void> {
  const launcher = createProcessLauncher({
    dataDir: where.directory,
    podDatabaseUrl: where.podUrl,
    modelBaseUrl: where.modelUrl,
    runUidBase: 1_900_000_000,
    claudeToken: "sk-ant-oat01-demo-token-of-nobody-0000000000",
    environment: process.env,
    log,
  });
  const leads = Promise.withResolvers<void>();
  const ended = runEngine({
    onLead: () => leads.resolve(),
    databaseUrl: where.engineUrl,
    launcher,
    log,
    pollIntervalMs: 5_000,
    maxLiveRuns: 1,
    keepTranscriptsMs: 86_400_000,
    runKey: Buffer.alloc(32, 1),
    signal: stop.signal,
  });
  endings.push(async () => {
    await ended;
    for (const job of await launcher.observe()) await launcher.stop(job.jobName, "end of the demo");
    await launcher.close();
  });
  await leads.promise;
}

/** Prints each change of what happens to the task until it is completed. */
async function follow(client: pg.Client, id: string): Promise<{ result: Record<string, unknown> }> {
  const begun = performance.now();
  let last = "";
  while (performance.now() - begun < TIME_LIMIT_MS && !stop.signal.aborted) {
    const { rows } = await client.query(
      "select t.status, t.result, w.explanation from tasks t, why_not_running(t.id) w where t.id = $1",
      [id],
    );
    const [task] = rows;
    const now =
      task.status === "completed" ? "completed" : `${task.status}: ${task.explanation.replace(/ for \d+ s/, "")}`;
    if (now !== last) say(`  ${((performance.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${now}`);
    if (task.status === "completed") return task;
    last = now;
    await delay(100);
  }
  throw new Error("the task was not completed in time");
}

function say(line: string): void {
  console.log(line);
}
