/** The outbox and the MCP server that fills it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { OutboxTask } from "../../worker-image/contract.ts";
import type { Offer } from "../../worker-image/mcp/offer.ts";
import { MAX_TASKS, plainPath, taskProblem } from "../../worker-image/mcp/outbox-rules.ts";
import { OutboxError, addToOutbox, finishInOutbox } from "../../worker-image/mcp/outbox.ts";
import { readOutbox } from "../../worker-image/publish/outbox.ts";

const SERVER = join(import.meta.dirname, "../../worker-image/mcp/server.ts");

function task(change: Partial<OutboxTask> = {}): OutboxTask {
  return {
    prompt: "Do it",
    addressee: null,
    repo_url: null,
    branch: null,
    base_branch: null,
    kind: null,
    step: null,
    paths: null,
    wake: "each",
    pull_request: false,
    ...change,
  };
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
    task({ kind: "x".repeat(101) }),
    task({ kind: "wake_up" }),
    task({ kind: "approval" }),
    task({ kind: "merge" }),
    task({ step: "x".repeat(201) }),
    task({ base_branch: "a..b" }),
    task({ paths: Array.from({ length: 201 }, (_, index) => `f${index}`) }),
    ...["", "/etc", "../x", "a/../b", "a//b", "./a", "a/", "a\nb", "x".repeat(1001)].map((path) =>
      task({ paths: [path] }),
    ),
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
    task({ kind: "merge", branch: "feature/x", step: "Step 2: login", base_branch: "develop", paths: ["src", "."] }),
    ...["https://host/x.git", "ssh://git@host/x", "git@host:x/y.git", "file:///srv/x", "/srv/x"].map((repo_url) =>
      task({ repo_url }),
    ),
    ...["main", "feature/x-1", "myzel/0-1", "ünïcode"].map((branch) => task({ branch })),
  ]) {
    assert.equal(taskProblem(good), null, JSON.stringify(good));
  }
});

test("paths are written as they are compared", () => {
  assert.deepEqual(["./src/", "src", "././a/b", "a//", "."].map(plainPath), ["src", "src", "a/b", "a", "."]);
});

test("the word that the epic is over replaces the one before, and nothing is created after it", () =>
  withOutbox((directory) => {
    addToOutbox(directory, task());
    assert.equal(finishInOutbox(directory, { success: false, summary: "No way." }), 1);
    assert.equal(finishInOutbox(directory, { success: true, summary: "Done after all." }), 1);
    assert.deepEqual(readdirSync(directory), ["0001.json", "finish-epic.json"]);
    assert.match(readFileSync(join(directory, "finish-epic.json"), "utf8"), /Done after all/);
    assert.throws(() => addToOutbox(directory, task()), /finished the epic/);
    for (const summary of ["", " \n", "a\0b", "x".repeat(16 * 1024 + 1)]) {
      assert.throws(() => finishInOutbox(directory, { success: true, summary }), OutboxError);
    }
  }));

/** Starts the server with these tools. */
async function withServer(
  offer: Offer,
  use: (server: {
    client: Client;
    directory: string;
    call: (name: string, input: object) => Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  await withOutbox(async (directory) => {
    const env = { MYZEL_OUTBOX: directory, MYZEL_OFFER: JSON.stringify(offer) };
    const client = new Client({ name: "test", version: "1" });
    await client.connect(new StdioClientTransport({ command: process.execPath, args: [SERVER], env }));
    const call = async (name: string, input: object): Promise<string> => {
      const end = await client.callTool({ name, arguments: input as Record<string, unknown> });
      const [said] = end.content as { text: string }[];
      return `${end.isError === true ? "refused: " : ""}${said?.text}`;
    };
    try {
      await use({ client, directory, call });
    } finally {
      await client.close();
    }
  });
}

const WORKER: Offer = { createTask: true, finishEpic: false, askHuman: null };
const GREEN: Offer = { createTask: true, finishEpic: true, askHuman: "blue" };

async function toolNames(client: Client): Promise<string[]> {
  return (await client.listTools()).tools.map((tool) => tool.name);
}

test("create_task answers with a sentence and leaves the task with all that was said", () =>
  withServer(WORKER, async ({ client, directory, call }) => {
    assert.deepEqual(await toolNames(client), ["create_task"]);
    assert.match(
      await call("create_task", { prompt: "Do it", kind: "test" }),
      /^Task 1 of this run is noted for a new worker/,
    );
    assert.match(await call("create_task", { prompt: "Do it", branch: "a..b" }), /^refused: "a..b" is no branch name/);
    assert.match(
      await call("create_task", { prompt: "Merge", kind: "merge" }),
      /^refused: .*the branch that is to be merged/,
    );
    assert.match(
      await call("create_task", { prompt: "Do it", priority: 1 }),
      /^refused: .*priority/s,
      "no field is lost",
    );
    const whole = {
      prompt: "Write it",
      addressee: "worker-7",
      repo_url: "https://host/x.git",
      branch: "feature/x",
      base_branch: "develop",
      kind: "implement",
      step: "Step 1",
      wake: "last",
      pull_request: true,
    };
    assert.match(await call("create_task", { ...whole, paths: ["./src/", "docs"] }), /^Task 2 .* for worker-7/);
    assert.deepEqual(readdirSync(directory), ["0001.json", "0002.json"]);
    const left = JSON.parse(readFileSync(join(directory, "0002.json"), "utf8")) as OutboxTask;
    assert.deepEqual(left, { ...whole, paths: ["src", "docs"] });
  }));

test("a Green of an epic is offered finish_epic and ask_human as well", () =>
  withServer(GREEN, async ({ client, directory, call }) => {
    assert.deepEqual(await toolNames(client), ["create_task", "finish_epic", "ask_human"]);
    assert.match(await call("ask_human", { question: "Which colour?", context: "Red or green." }), /noted for blue/);
    const question = JSON.parse(readFileSync(join(directory, "0001.json"), "utf8")) as OutboxTask;
    assert.deepEqual(question, task({ prompt: "Which colour?\n\nRed or green.", addressee: "blue", kind: "question" }));
    assert.match(await call("ask_human", { question: " " }), /^refused: The prompt is empty/);
    assert.match(await call("finish_epic", { success: true, summary: " " }), /^refused: The summary is empty/);
    assert.match(
      await call("finish_epic", { success: true, summary: "All there." }),
      /^Noted: it ends as a success .* The task that this run has created will not be started where the whole epic ends\.$/,
    );
    assert.match(await call("create_task", { prompt: "More" }), /^refused: You have finished the epic/);
  }));

test("publish takes from an outbox only what the run had tools for and what keeps the rules", async () => {
  await withOutbox(async (workspace) => {
    const outbox = join(workspace, "outbox");
    mkdirSync(outbox);
    const question = task({ prompt: "Which?", addressee: "blue", kind: "question" });
    const other = task({ prompt: "Write it" });
    addToOutbox(outbox, other);
    addToOutbox(outbox, question);
    addToOutbox(outbox, { ...question, addressee: "somebody" });
    finishInOutbox(outbox, { success: true, summary: "Done." });
    const forged = [
      task({ paths: ["../x"] }),
      task({ kind: "approval" }),
      { ...task(), wake: "never" },
      { prompt: 1 },
      null,
    ];
    for (const [index, content] of forged.entries()) {
      writeFileSync(join(outbox, `10${index}0.json`), JSON.stringify(content));
    }
    const finished = { success: true, summary: "Done." };
    const ofGreen = await readOutbox(workspace, GREEN);
    assert.deepEqual(ofGreen, {
      tasks: [other, question, { ...question, addressee: "somebody" }],
      finish_epic: finished,
    });
    assert.equal((await readOutbox(workspace, WORKER)).finish_epic, null);
    const asking = await readOutbox(workspace, { ...GREEN, createTask: false });
    assert.deepEqual(asking, { tasks: [question], finish_epic: finished });
    const nothing = await readOutbox(workspace, { createTask: false, finishEpic: false, askHuman: null });
    assert.deepEqual(nothing, { tasks: [], finish_epic: null });
    writeFileSync(join(outbox, "finish-epic.json"), JSON.stringify({ success: "yes", summary: "x" }));
    assert.equal((await readOutbox(workspace, GREEN)).finish_epic, null);
  });
});

test("the server says what is missing when it has no outbox", async () => {
  const child = spawn(process.execPath, [SERVER], { env: {}, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk) => (said += chunk));
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(code, 2);
  assert.match(said, /MYZEL_OUTBOX is not set/);
});
