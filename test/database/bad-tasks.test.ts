import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("an INSERT that cannot work is refused with one sentence", () => {
  let db: SchemaClient;
  before(async () => {
    db = await schemaClient();
  });
  after(() => db.close());

  const refused: [string, Parameters<SchemaClient["insert"]>[0], RegExp][] = [
    ["an empty prompt", { prompt: "" }, /prompt is empty/],
    ["a blank prompt", { prompt: " \n\t" }, /prompt is empty/],
    ["an empty addressee", { addressee: "" }, /addressee is empty/],
    ["an addressee with a line break", { addressee: "a\nb" }, /control characters/],
    ["a prompt of 10 MB", { prompt: "x".repeat(10 * 1024 * 1024) }, /10485760 bytes long, the limit is 1 MiB/],
    ["a repository that is an option", { repo_url: "--upload-pack=touch /tmp/x" }, /begins with "-"/],
    ["a remote helper", { repo_url: "ext::sh" }, /remote helper/],
    ["a token in the URL", { repo_url: "https://ghp_secret@github.com/a/b.git" }, /credential helpers/],
    ["a password in the URL", { repo_url: "ssh://me:pw@host/x.git" }, /carries a password/],
    ["an unknown scheme", { repo_url: "gopher://host/x" }, /scheme that is not supported/],
    ["no URL at all", { repo_url: "my-repo" }, /neither a URL/],
    ["an empty repository", { repo_url: "" }, /repo_url is empty/],
    ...[
      "-b",
      "a b",
      "a..b",
      "a~b",
      "a.lock",
      "/a",
      "a/",
      "a//b",
      ".a",
      "a/.b",
      "@",
      "a@{b",
      "refs/heads/x",
      "a\\b",
      "HEAD",
    ].map((branch): [string, Parameters<SchemaClient["insert"]>[0], RegExp] => [
      `the branch ${branch}`,
      { branch },
      /not a name that git accepts/,
    ]),
  ];
  for (const [what, task, sentence] of refused) {
    it(what, async () => {
      await assert.rejects(db.insert(task), sentence);
    });
  }

  it("NUL is refused by the server itself", async () => {
    await assert.rejects(db.insert({ prompt: "a\u0000b" }), /invalid byte sequence/);
  });

  it("what looks odd but works is taken", async () => {
    for (const repo_url of [
      "https://host/x.git",
      "git@host:a/b.git",
      "ssh://git@host:2222/a",
      "file:///srv/x.git",
      "/srv/x.git",
      "http://h/x",
    ]) {
      await db.insert({ repo_url });
    }
    for (const branch of ["feature/x-1", "a.b", "ünï", "x@y", "1"]) await db.insert({ branch });
    await db.insert({ prompt: "/clear @/etc/passwd", addressee: "Zoë's worker" });
  });

  it("the INSERT of the README works as it stands", async () => {
    await db.pool.query(
      "INSERT INTO tasks (addressee, prompt, repo_url, branch, created_by) VALUES ('w', 'p', 'https://h/x.git', 'b', 'me')",
    );
  });
});
