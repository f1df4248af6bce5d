/** What a profile gives the agent besides its limits: secrets by reference and skills. With the real CLI. */
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { test } from "node:test";
import { type PhaseOptions, briefWith } from "../support/agent-phase.ts";
import { play } from "../support/play.ts";
import { text, textsOf, toolUse } from "../support/scripted-model.ts";
import { eventually } from "../support/waiting.ts";

const SECRET = 'npm_a/b+c"d-0123456789';
const environment = { MYZEL_SECRET_NPM_TOKEN: SECRET };

test("the agent's commands have a secret under its own name, and its value is masked wherever it goes", async () => {
  const look = toolUse("Bash", { command: 'printf %s "$NPM_TOKEN" > seen; env; printf %s "$NPM_TOKEN" | base64' });
  const said = text(`The token is ${SECRET}.`);
  await play([look, said], { environment }, ({ outcome, stream, log, workspace, model }) => {
    assert.ok(outcome?.success, log);
    assert.equal(workspace.read("repo/seen"), SECRET);
    assert.equal(outcome.summary, "The token is [masked].");
    for (const stored of [stream, log, workspace.read("outcome.json")]) {
      assert.ok(!stored.includes(SECRET) && !stored.includes(JSON.stringify(SECRET).slice(1, -1)), stored);
      assert.ok(!stored.includes(Buffer.from(SECRET).toString("base64").slice(0, 20)));
    }
    assert.match(stream, /NPM_TOKEN=\[masked\]/);
    assert.doesNotMatch(textsOf(model.requests.at(-1), "user"), /MYZEL_SECRET/);
  });
});

test("of a secret of several lines, each line that is secret by itself is masked, and no other", async () => {
  const lines = [
    "-----BEGIN PRIVATE KEY-----",
    "MIIEvQIBADANBgkqhkiG9w0BAQEF",
    "AASCBKcwggSjAgEAAoIBAQC7/xyz",
    "-----END PRIVATE KEY-----",
  ];
  const look = toolUse("Bash", { command: 'printf %s "$DEPLOY_KEY" > key && nl key' });
  const given = { MYZEL_SECRET_DEPLOY_KEY: lines.join("\n") };
  await play([look, text("Done.")], { environment: given }, ({ outcome, stream, workspace, log }) => {
    assert.ok(outcome?.success, log);
    assert.equal(workspace.read("repo/key"), lines.join("\n"));
    assert.match(stream, /2\\t\[masked\]\\n/);
    assert.match(stream, /BEGIN PRIVATE KEY/);
    for (const line of lines.slice(1, 3)) assert.ok(!`${stream}${log}`.includes(line));
  });
});

test("setup and checks have no secret; what they print of one all the same is masked", async () => {
  const see = (name: string) => `env > ../${name}; echo '${SECRET}'`;
  const brief = briefWith({ setup_command: see("setup"), check_command: see("check") });
  await play([text("Done.")], { environment, brief }, ({ outcome, stream, log, workspace }) => {
    assert.ok(outcome?.success, log);
    for (const name of ["setup", "check"]) assert.doesNotMatch(workspace.read(name), /NPM_TOKEN|npm_a/);
    assert.match(outcome.checks?.output ?? "", /\[masked\]/);
    assert.ok(!`${stream}${log}${JSON.stringify(outcome)}`.includes(JSON.stringify(SECRET).slice(1, -1)));
  });
});

test("a secret wins over a variable of the profile, and over nothing that keeps a run safe", async () => {
  const given = {
    ...environment,
    MYZEL_SECRET_HOME: "/nonexistent",
    MYZEL_SECRET_GIT_CONFIG_COUNT: "0",
    MYZEL_SECRET_NODE_OPTIONS: "--require /nonexistent/of-the-agent-only.js",
  };
  const brief = briefWith({ environment: { CLAUDE_CODE_MAX_RETRIES: "0", NPM_TOKEN: "of the profile" } });
  const look = toolUse("Bash", {
    command: 'printf "%s\\n" "$NPM_TOKEN" "$HOME" "$GIT_CONFIG_COUNT" "$NODE_OPTIONS" > seen',
  });
  await play([look, text("Done.")], { environment: given, brief }, ({ outcome, workspace, log }) => {
    assert.ok(outcome?.success, log);
    assert.deepEqual(workspace.read("repo/seen").trim().split("\n"), [
      SECRET,
      `${workspace.path}/home`,
      "1",
      "--require /nonexistent/of-the-agent-only.js",
    ]);
  });
});

test("a profile's MCP server has the secrets, by its environment and named in its configuration", async () => {
  let seen = "";
  const prepare: NonNullable<Parameters<typeof play>[1]["prepare"]> = (workspace): PhaseOptions => {
    seen = `${workspace.path}/tmp/mcp-seen`;
    const command = `printf '%s\\n' "$NPM_TOKEN" "$OTHER_NAME" "$1" > '${seen}'`;
    const board = {
      command: "sh",
      args: ["-c", command, "sh", "${NPM_TOKEN}"],
      env: { OTHER_NAME: "${NPM_TOKEN}" },
    };
    return { environment: environment, brief: briefWith({ mcp_servers: { board } }) };
  };
  // The CLI waits for no server, and ends those that have hardly begun when it ends.
  const script = async () => {
    await eventually("the server has run", () => existsSync(seen) && statSync(seen).size > 0);
    return text("Done.");
  };
  await play(script, { prepare }, ({ outcome, workspace, log }) => {
    assert.ok(outcome !== null, log);
    assert.deepEqual(workspace.read("tmp/mcp-seen").trim().split("\n"), [SECRET, SECRET, SECRET]);
    assert.ok(!workspace.read("mcp.json").includes("npm_a"));
  });
});

const SKILLS = {
  "release-notes":
    "---\nname: release-notes\ndescription: How this team words release notes\n---\nSay WHAT-CHANGED first.\n",
  "on-call": "---\ndescription: Whom to wake\n---\nWake nobody.\n",
};

for (const trust_repository of [false, true]) {
  const whose = trust_repository ? "with those of a trusted repository" : "and none of the repository's";
  test(`the model is told of the profile's skills and can load one, ${whose}`, async () => {
    const script = [toolUse("Skill", { skill: "myzel:release-notes" }), text("Done.")];
    await play(
      script,
      {
        brief: briefWith({ skills: SKILLS, trust_repository }),
        prepare(workspace) {
          workspace.write("repo/.claude/skills/theirs/SKILL.md", "---\ndescription: OF-THE-REPOSITORY\n---\nText.\n");
        },
      },
      ({ outcome, model, log, workspace }) => {
        assert.ok(outcome?.success, log);
        const told = JSON.stringify(model.requests[0]?.body.messages);
        assert.match(told, /myzel:release-notes: How this team words release notes/);
        assert.match(told, /myzel:on-call: Whom to wake/);
        assert.equal(told.includes("OF-THE-REPOSITORY"), trust_repository);
        assert.doesNotMatch(told, /WHAT-CHANGED/);
        assert.match(textsOf(model.requests.at(-1), "user"), /Say WHAT-CHANGED first\./);
        assert.equal(workspace.run("git", "status", "--porcelain"), "?? .claude/\n");
      },
    );
  });
}

test("skills are laid out anew before each invocation, for the agent may have touched them", async () => {
  const spoil = toolUse("Bash", {
    command:
      "cd ../skills && echo '---\ndescription: SPOILT\n---' > skills/on-call/SKILL.md && mkdir skills/own && cp skills/on-call/SKILL.md skills/own/",
  });
  const brief = briefWith({ skills: SKILLS, check_command: "test -e ../second || { touch ../second; false; }" });
  await play([spoil, text("Done."), text("Mended.")], { brief }, ({ outcome, model, log, workspace }) => {
    assert.ok(outcome?.success, log);
    assert.equal(workspace.read("skills/skills/on-call/SKILL.md"), SKILLS["on-call"]);
    assert.deepEqual(workspace.list("skills/skills").toSorted(), ["on-call", "release-notes"]);
    assert.doesNotMatch(JSON.stringify(model.requests.at(-1)?.body), /myzel:own|: SPOILT\\n- /);
  });
});
