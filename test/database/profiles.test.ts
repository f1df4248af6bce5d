/** What may stand in a profile's secrets and skills, said in sentences; and that launch and brief carry them. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import { unlaunchedRuns } from "../../engine/store/runs.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const skill = (text: string): string => `---\nname: notes\ndescription: How notes are written\n---\n${text}`;

describe("a profile's secrets and skills", () => {
  let db: SchemaClient;
  let operator: pg.Client;
  before(async () => {
    db = await schemaClient();
    operator = new pg.Client({ connectionString: db.test.url("operator") });
    await operator.connect();
  });
  after(async () => {
    await operator.end();
    await db.close();
  });

  const set = (column: "secrets" | "skills", value: unknown) =>
    operator.query(`update profiles set ${column} = $1 where name = 'red'`, [JSON.stringify(value)]);
  const refused = async (column: "secrets" | "skills", value: unknown, sentence: RegExp): Promise<void> => {
    await assert.rejects(set(column, value), (error: Error & { code?: string }) => {
      assert.match(error.message, sentence);
      assert.equal(error.code, "MZ002");
      assert.match(error.message, /^Profile "red" cannot be stored: /);
      assert.ok(!error.message.includes("the-value-itself"));
      return true;
    });
  };

  it("come with the launch by reference and, the skills alone, with the brief", async () => {
    const secrets = {
      NPM_TOKEN: { secret_name: "npm", secret_key: "token" },
      SENTRY_TOKEN: { env_var: "SENTRY_TOKEN" },
      deploy_key: { file_path: "/run/deploy-key" },
    };
    const skills = { "release-notes": skill("Short."), a: skill("") };
    await set("secrets", secrets);
    await set("skills", skills);
    const task = await db.insert({ prompt: "x" });
    await db.claimAll();
    const [run] = await unlaunchedRuns(db.engine, "test-host", 10);
    assert.deepEqual(run?.secrets, secrets);
    const pod = new pg.Client({ connectionString: db.test.url("pod") });
    await pod.connect();
    try {
      const id = (await db.liveRun(task))?.id ?? "";
      const { brief } = (await pod.query("select load_brief($1, $2, 'pod') as brief", [id, db.token(id)])).rows[0];
      assert.deepEqual(brief.profile.skills, skills);
      assert.doesNotMatch(JSON.stringify(brief), /NPM_TOKEN|SENTRY|deploy-key/);
      await assert.rejects(pod.query("select secrets from profiles"), { code: "42501" });
    } finally {
      await pod.end();
    }
  });

  it("a secret's name is a variable's, and none that says who pays, or steers the run", async () => {
    for (const name of ["", "1TOKEN", "NPM-TOKEN", "A B", "x".repeat(101)]) {
      await refused("secrets", { [name]: { env_var: "X" } }, /needs a name of letters, digits and _/);
    }
    const own = [
      ...["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "anthropic_api_key", "CLAUDE_API_KEY"],
      ...["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR", "MYZEL_RUN_TOKEN", "PATH", "HOME"],
      ...["TMPDIR", "SHELL", "GIT_AUTHOR_NAME", "GIT_CONFIG_COUNT"],
    ];
    for (const name of own) {
      await refused("secrets", { [name]: { env_var: "X" } }, new RegExp(`secret ${name} may not be given: .* another`));
    }
  });

  it("a secret says where its value lies, in exactly one way, and never the value", async () => {
    await refused("secrets", { A: "the-value-itself" }, /the secret A must say where its value lies, never the value/);
    await refused("secrets", { A: null }, /the secret A must say where/);
    const sources = [
      {},
      { value: "the-value-itself" },
      { env_var: "X", file_path: "/x" },
      { secret_name: "npm" },
      { secret_key: "token" },
      { env_var: ["the-value-itself"] },
      { env_var: "X", note: "the-value-itself" },
    ];
    for (const source of sources) await refused("secrets", { A: source }, /the secret A needs exactly one source/);
    await refused("secrets", { A: { env_var: "the-value-itself" } }, /the env_var of the secret A is no name/);
    await refused(
      "secrets",
      { A: { file_path: "the-value-itself" } },
      /the file_path of the secret A must begin with \//,
    );
    for (const source of [
      { secret_name: "Npm", secret_key: "token" },
      { secret_name: "npm", secret_key: "a/b" },
    ]) {
      await refused("secrets", { A: source }, /the secret A names no possible Secret and key/);
    }
    for (const variable of ["DATABASE_URL", "MYZEL_POD_DATABASE_URL", "CLAUDE_CODE_OAUTH_TOKEN", "PGPASSWORD"]) {
      await refused("secrets", { A: { env_var: variable } }, /the env_var of the secret A is one of the engine's own/);
    }
    await refused("secrets", { GOOD: { env_var: "X" }, BAD: 1 }, /the secret BAD must say/);
    await assert.rejects(set("secrets", ["A"]), /secrets must be a JSON object/);
  });

  it("a skill has a name that can be a directory's, a description and a bounded text", async () => {
    for (const name of ["", "Notes", "../x", "a/b", "-a", "a-", "a".repeat(65)]) {
      await refused("skills", { [name]: skill("") }, /needs a name of at most 64 small letters, digits and -/);
    }
    await refused("skills", { notes: 1 }, /the skill notes must be the text of its SKILL\.md/);
    for (const text of [
      "",
      "Write short notes.",
      "---\nname: notes\n---\ndescription: not in the front matter\n---\n",
      "---\ndescription:\n---\n",
    ]) {
      await refused(
        "skills",
        { notes: text },
        /the skill notes must begin with a front matter that holds a description/,
      );
    }
    await refused("skills", { notes: skill("ä".repeat(32_768)) }, /the skill notes has more than 64 KiB/);
    const large = skill("x".repeat(65_000));
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, large]));
    await refused("skills", many(17), /its skills have more than 1 MiB together/);
    await set("skills", many(16));
    await set("skills", { notes: "---\r\ndescription: >\r\n  of Windows\r\n---\r\nText\r\n" });
    await set("skills", {});
    await assert.rejects(set("skills", "text"), /skills must be a JSON object/);
  });
});
