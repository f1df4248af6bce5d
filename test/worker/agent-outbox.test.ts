/** The outbox and the MCP server that fills it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { OutboxTask } from "../../worker-image/contract.ts";
import { MAX_TASKS, OutboxError, addToOutbox, taskProblem } from "../../worker-image/mcp/outbox.ts";

const SERVER = join(import.meta.dirname, "../../worker-image/mcp/server.ts");

function task(change: Partial<OutboxTask> = {}): OutboxTask {
  return { prompt: "Do it", addressee: null, repo_url: null, branch: null, kind: null, ...change };
}

async function withOutbox(use: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "myzel-outbox-"));
  try {
    await use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("tasks are numbered files, whole ones only, and at most a hundred", () =>
  withOutbox((directory) => {
    writeFileSync(join(directory, "0003.json"), "{}");
    assert.equal(addToOutbox(directory, task({ prompt: "ä" })), 4);
    assert.deepEqual(readdirSync(directory), ["0003.json", "0004.json"]);
    assert.equal((JSON.parse(readFileSync(join(directory, "0004.json"), "utf8")) as OutboxTask).prompt, "ä");
    for (let n = 3; n <= MAX_TASKS; n++) addToOutbox(directory, task());
    assert.throws(() => addToOutbox(directory, task()), OutboxError);
    assert.equal(readdirSync(directory).length, MAX_TASKS);
  }));

test("a task that the database would refuse is refused with a sentence", () => {
  for (const bad of [
    task({ prompt: " \n" }),
    task({ prompt: "a\0b" }),
    task({ prompt: "x".repeat(2 ** 20 + 1) }),
    task({ addressee: "" }),
    task({ addressee: "x".repeat(201) }),
    task({ addressee: "a\nb" }),
    task({ kind: "\u0007" }),
    ...["-x", "ext::sh -c x", "ext::x", "a b", "https://u:p@host/x", "ssh://u:p@host/x", "ftp://host/x", ""].map(
      (repo_url) => task({ repo_url }),
    ),
    ...["-x", "a..b", "a b", "x.lock", "/x", "x/", "HEAD", "refs/heads/x", "@", "a//b", ".x", "x~1", ""].map((branch) =>
      task({ branch }),
    ),
  ]) {
    assert.notEqual(taskProblem(bad), null, JSON.stringify(bad).slice(0, 100));
  }
  for (const good of [
    task(),
    task({ addressee: "project-mgr-webapp", kind: "review" }),
    ...["https://host/x.git", "ssh://git@host/x", "git@host:x/y.git", "file:///srv/x", "/srv/x"].map((repo_url) =>
      task({ repo_url }),
    ),
    ...["main", "feature/x-1", "myzel/0-1", "ünïcode"].map((branch) => task({ branch })),
  ]) {
    assert.equal(taskProblem(good), null, JSON.stringify(good));
  }
});

test("the server offers create_task alone, answers with a sentence, and leaves the task", () =>
  withOutbox(async (directory) => {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [SERVER],
      env: { MYZEL_OUTBOX: directory },
    });
    const client = new Client({ name: "test", version: "1" });
    await client.connect(transport);
    try {
      assert.deepEqual(
        (await client.listTools()).tools.map((tool) => tool.name),
        ["create_task"],
      );
      const good = await client.callTool({ name: "create_task", arguments: { prompt: "Do it", kind: "test" } });
      assert.match(JSON.stringify(good.content), /Task 1 of this run is noted for a new worker/);
      const bad = await client.callTool({ name: "create_task", arguments: { prompt: "Do it", branch: "a..b" } });
      assert.equal(bad.isError, true);
      assert.deepEqual(readdirSync(directory), ["0001.json"]);
    } finally {
      await client.close();
    }
  }));

test("the server says what is missing when it has no outbox", async () => {
  const child = spawn(process.execPath, [SERVER], { env: {}, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk) => (said += chunk));
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(code, 2);
  assert.match(said, /MYZEL_OUTBOX is not set/);
});
