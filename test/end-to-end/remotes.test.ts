/** Remotes as people have them, the whole way: a path, HTTP with a credential helper, SSH with the user's own keys. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { bareRemote, httpRemote, sshProblem, sshRemote } from "../support/git-remotes.ts";
import type { BareRemote } from "../support/git-remotes.ts";
import { text, toolUse } from "../support/scripted-model.ts";
import { startSpine } from "../support/spine.ts";
import type { TaskRow } from "../support/spine.ts";

const LOGIN = { username: "me", password: "right-password-0123456789" };

/** An environment in which git's credential helper gives this login, as a user's own configuration would. */
function withHelper(password: string): NodeJS.ProcessEnv {
  const helper = `!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' ${LOGIN.username} ${password}; }; f`;
  return { ...process.env, GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: "credential.helper", GIT_CONFIG_VALUE_0: helper };
}

describe("a task whose repository is", () => {
  let remote: BareRemote;
  beforeEach(() => {
    remote = bareRemote();
  });
  afterEach(() => remote.remove());

  async function runTask(repoUrl: string, environment?: NodeJS.ProcessEnv): Promise<TaskRow["result"]> {
    const spine = await startSpine(
      [
        toolUse("Bash", { command: "env > env.txt; git remote -v >> env.txt; cat .git/config >> env.txt" }),
        text("Done."),
      ],
      environment === undefined ? {} : { environment },
    );
    try {
      spine.startEngine();
      const id = await spine.insert({ addressee: "w", prompt: "p", repo_url: repoUrl, branch: "work" });
      return (await spine.completed(id)).result;
    } finally {
      await spine.close();
    }
  }

  it("a path on this machine", async () => {
    const result = await runTask(remote.path);
    assert.equal(result.success, true, JSON.stringify(result));
    assert.ok(remote.file("work", "env.txt"));
  });

  it("over HTTP, with the login of the user's credential helper, which the agent never sees", async () => {
    const http = await httpRemote(remote, LOGIN);
    try {
      const result = await runTask(http.url, withHelper(LOGIN.password));
      assert.equal(result.success, true, JSON.stringify(result));
      assert.ok(!(remote.file("work", "env.txt") ?? LOGIN.password).includes(LOGIN.password));
    } finally {
      await http.close();
    }
  });

  it("over HTTP with a wrong login, or none, ends as checkout_failed and says which", async () => {
    const http = await httpRemote(remote, LOGIN);
    try {
      const wrong = await runTask(http.url, withHelper("wrong-password-0123456789"));
      assert.equal(wrong["code"], "checkout_failed");
      assert.match(String(wrong["error"]), /login|credential|password/i);
      assert.ok(!JSON.stringify(wrong).includes("wrong-password"));
      const none = await runTask(http.url, { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null" });
      assert.equal(none["code"], "checkout_failed");
      assert.match(String(none["error"]), /login|credential/i);
    } finally {
      await http.close();
    }
  });

  it("over SSH, with the user's own ssh", async (t) => {
    const problem = sshProblem();
    if (problem !== null) return t.skip(problem);
    const ssh = await sshRemote(remote);
    try {
      const result = await runTask(ssh.url, { ...process.env, GIT_SSH_COMMAND: ssh.sshCommand });
      assert.equal(result.success, true, JSON.stringify(result));
      assert.ok(remote.file("work", "env.txt"));
    } finally {
      await ssh.close();
    }
  });
});
