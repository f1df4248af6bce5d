/** A profile's secrets and skills the whole way: from the table to the agent, and nowhere else. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { text, textsOf, toolUse } from "../support/scripted-model.ts";
import { startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";

const SECRET = "npm_of_the_whole_way_0123456789";

describe("a profile that gives its agents something", () => {
  let spine: Spine;
  let remote: BareRemote;
  before(async () => {
    remote = bareRemote();
    spine = await startSpine(
      ({ body, step }) => {
        const prompt = textsOf({ body } as Parameters<typeof textsOf>[0], "user");
        const command = prompt.includes("LEAK")
          ? 'echo "//registry/:_authToken=$NPM_TOKEN" > .npmrc && git add .npmrc && git commit -qm "Log in"'
          : 'test "$NPM_TOKEN" = "npm_of_the_whole""_way_0123456789" && env > ../tmp/seen; cat ../tmp/seen; echo yes > yes.txt';
        if (step === 0) return toolUse("Skill", { skill: "myzel:release-notes" });
        return step === 1 ? toolUse("Bash", { command }) : text(`Done with ${SECRET}.`);
      },
      { environment: { ...process.env, NPM_OF_THE_ENGINE: SECRET } },
    );
    await spine.pool.query("update profiles set secrets = $1, skills = $2 where name = 'red'", [
      { NPM_TOKEN: { env_var: "NPM_OF_THE_ENGINE" } },
      { "release-notes": "---\ndescription: How release notes are worded\n---\nSay WHAT-CHANGED first.\n" },
    ]);
    spine.startEngine();
  });
  after(async () => {
    await spine.close();
    remote.remove();
  });

  const run = async (prompt: string, branch: string) => {
    const id = await spine.insert({ addressee: prompt, prompt, repo_url: remote.url, branch });
    return await spine.completed(id);
  };

  /** Every row of every table, as text. */
  const everything = async (): Promise<string> => {
    const { rows } = await spine.pool.query<{ content: string }>(
      `select coalesce(query_to_xml(format('select * from %I', relname), true, false, '')::text, '') as content
       from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`,
    );
    return rows.map(({ content }) => content).join("\n");
  };

  it("gives the agent the value and the skill; the database and the transcript never have the value", async () => {
    const { id, result } = await run("USE", "use");
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(result["summary"], "Done with [masked].");
    const transcript = await spine.transcript(id);
    assert.match(transcript, /NPM_TOKEN=\[masked\]/);
    assert.match(transcript, /WHAT-CHANGED/);
    assert.ok(!transcript.includes(SECRET));
    assert.ok(!(await everything()).includes(SECRET));
    assert.ok(remote.branches().includes("refs/heads/use"));
  });

  it("refuses to push a commit that holds it", async () => {
    const { result } = await run("LEAK", "leak");
    assert.deepEqual(
      [result.success, result["code"], result["error"]],
      [false, "secret_leaked", "A new commit contains the secret NPM_TOKEN; nothing was pushed. Replace that secret."],
    );
    assert.ok(!remote.branches().includes("refs/heads/leak"));
    assert.ok(!(await everything()).includes(SECRET));
  });

  it("fails the task at once where the source is another launcher's, and names the variable", async () => {
    await spine.pool.query("update profiles set secrets = $1 where name = 'red'", [
      { NPM_TOKEN: { secret_name: "npm", secret_key: "token" } },
    ]);
    const { id, result } = await run("REFUSED", "refused");
    assert.equal(result["code"], "pod_refused");
    assert.match(String(result["error"]), /^The secret NPM_TOKEN of the profile "red" lies in a Kubernetes Secret, /);
    const { rows } = await spine.pool.query("select count(*)::integer as attempts from runs where task_id = $1", [id]);
    assert.equal(rows[0].attempts, 1);
  });
});
