/** `myzel doctor`: what it finds, how to mend it, and its exit code. */
import assert from "node:assert/strict";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { emptyDatabase } from "../support/postgres.ts";
import { commandLine } from "./command-line.ts";
import { myzel } from "./run-myzel.ts";

interface Check {
  name: string;
  status: string;
  message: string;
  mend: string | null;
}

describe("myzel doctor", () => {
  const cli = commandLine();
  const ask = async (env: Record<string, string>) => {
    const ran = await myzel(["doctor", "--json"], {
      env: { MYZEL_DATA_DIR: cli.directory, MYZEL_ROLE_PREFIX: cli.db.test.rolePrefix, ...env },
    });
    const checks = ran.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Check);
    const find = (name: string) => checks.find((check) => check.name === name);
    assert.equal(ran.code, checks.some((check) => check.status === "problem") ? 1 : 0, ran.stderr);
    return { find, ran };
  };
  const here = () => ({ DATABASE_URL: cli.db.test.url("operator") });

  it("on a good machine every check that matters is well, and the exit code is 0", async () => {
    const { find, ran } = await ask({ ...here(), CLAUDE_CODE_OAUTH_TOKEN: "sk-ant-oat01-0123456789" });
    for (const name of [
      "system",
      "node",
      "git",
      "launcher",
      "data directory",
      "database",
      "schema",
      "claude",
      "credential default",
      "billing",
    ]) {
      assert.equal(find(name)?.status, "ok", `${name}: ${find(name)?.message}`);
    }
    assert.match(find("engine")?.message ?? "", /leads on test-host/);
    assert.equal(find("isolation")?.status, process.getuid?.() === 0 ? "ok" : "warning");
    assert.doesNotMatch(ran.stdout, /0123456789/);
  });

  it("in words, each line has its sign and what to do", async () => {
    const { stdout, code } = await myzel(["doctor"], { env: { MYZEL_DATA_DIR: cli.directory } });
    assert.equal(code, 1);
    assert.match(stdout, /^✓ node /m);
    assert.match(stdout, /^! database .*Run myzel up/m);
    assert.match(stdout, /^✗ credential default .*claude setup-token/m);
  });

  it("says when the schema is older, the server is away, the engine is paused, the credential blocked", async () => {
    const empty = await emptyDatabase();
    try {
      const older = await ask({ DATABASE_URL: empty.adminUrl });
      assert.match(older.find("schema")?.message ?? "", /run myzel migrate/);
    } finally {
      await empty.close();
    }
    const away = await ask({ DATABASE_URL: "postgresql://x:hush@127.0.0.1:1/x" });
    assert.equal(away.find("database")?.status, "problem");
    assert.doesNotMatch(away.ran.stdout, /hush/);
    await cli.db.pool.query("update engine_state set paused = true");
    await cli.db.pool.query(
      "update credentials set blocked_until = now() + interval '1 hour', blocked_reason = 'weekly limit'",
    );
    const paused = await ask(here());
    assert.equal(paused.find("engine")?.mend, "myzel resume");
    assert.match(paused.find("credential default")?.message ?? "", /blocked until .*weekly limit/);
  });

  it("names what would bill the API, and a data directory that others may read", async () => {
    const open = join(cli.directory, "open");
    await mkdir(open);
    await chmod(open, 0o755);
    const { find } = await ask({ ...here(), MYZEL_DATA_DIR: open, ANTHROPIC_API_KEY: "hush" });
    assert.match(find("billing")?.message ?? "", /ANTHROPIC_API_KEY is set; it is not passed on/);
    assert.equal(find("data directory")?.mend, `chmod go-rw ${open}`);
  });

  it("says which profile's secret cannot be read here, and never shows a value", async () => {
    const path = join(cli.directory, "..", `npm-token-${process.pid}`);
    await writeFile(path, "hush-from-a-file\n");
    const set = (secrets: Record<string, object>) =>
      cli.db.pool.query("update profiles set secrets = case when name = 'red' then $1 else '{}' end::jsonb", [
        JSON.stringify(secrets),
      ]);
    try {
      await set({ NPM_TOKEN: { file_path: path }, OTHER: { env_var: "MY_OTHER" } });
      const well = await ask({ ...here(), MY_OTHER: "hush-from-a-variable" });
      assert.equal(well.find("secrets of red")?.status, "ok");
      assert.match(well.find("secrets of red")?.message ?? "", /^OTHER, NPM_TOKEN: present$/);
      // The engine that leads has an environment of its own.
      const variable = await ask(here());
      assert.equal(variable.find("secrets of red")?.status, "unknown");
      assert.match(variable.find("secrets of red")?.message ?? "", /variable MY_OTHER, from which OTHER comes/);
      await set({ NPM_TOKEN: { file_path: `${path}.gone` } });
      const gone = await ask(here());
      assert.equal(gone.find("secrets of red")?.status, "problem");
      assert.match(gone.find("secrets of red")?.message ?? "", /^The secret NPM_TOKEN of the profile "red" .*gone/);
      await set({ NPM_TOKEN: { secret_name: "npm", secret_key: "token" } });
      const elsewhere = await ask(here());
      assert.match(elsewhere.find("secrets of red")?.message ?? "", /lies in a Kubernetes Secret/);
      for (const { ran } of [well, variable, gone, elsewhere]) assert.doesNotMatch(ran.stdout, /hush/);
      await cli.db.pool.query("update engine_beat set beat_at = beat_at - interval '1 hour'");
      await set({ OTHER: { env_var: "MY_OTHER" } });
      assert.equal((await ask(here())).find("secrets of red")?.status, "problem");
    } finally {
      await rm(path);
      await set({});
    }
  });

  it("says which launcher the engine would use", async () => {
    const { find } = await ask({ ...here(), MYZEL_LAUNCHER: "kubernetes" });
    assert.equal(find("launcher")?.status, "ok");
  });
});
