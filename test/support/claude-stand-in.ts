/**
 * A stand-in for the Claude Code CLI, as far as the agent phase knows it: the same flags, the prompt on standard input,
 * lines of stream-json, the MCP servers of `--mcp-config` started and called over stdio. It thinks of nothing: it does
 * what the prompt says in a line `PLAY {…}`, and costs a twentieth of the processor time of the real one.
 *
 * A program of its own, in one file, which `installClaudeStandIn` lays out without its types: it may import nothing but
 * Node's modules, and must run on Node 20.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

/** What a Red does: one commit, with a pause before it as if it thought. */
export interface RedPlay {
  role: "red";
  file: string;
  thinkMs: number;
}

/** What a Green does: one step of its plan in each run, then it finishes the epic; where `asks`, it first asks a person. */
export interface GreenPlay {
  role: "green";
  steps: number;
  asks: boolean;
  /** Of each step: so many tasks in parallel, and so many for one addressee. */
  parallel: number;
  serial: number;
  serialAddressee: string;
  /** Begins the names of the files that its Reds write. */
  name: string;
  thinkMs: number;
}

type Json = Record<string, unknown>;

interface McpServer {
  call(tool: string, input: Json): Promise<string>;
  close(): Promise<void>;
}

const PLAN = ".ai/plan.md";
const SESSION = "00000000-0000-4000-8000-00000000c1a0";
const MODEL = "stand-in";
let said = 0;

/** What the CLI prints, with what it prints on every line. */
function print(line: Json): void {
  writeFileSync(1, `${JSON.stringify({ ...line, session_id: SESSION })}\n`);
}

function message(content: Json): Json {
  said++;
  return { id: `msg_${process.pid}_${said}`, role: "assistant", model: MODEL, content: [content], usage: USAGE };
}

const USAGE = { input_tokens: 100, output_tokens: 20, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };

function printUse(name: string, input: Json, result: string): void {
  const id = `toolu_${process.pid}_${said}`;
  print({ type: "assistant", message: message({ type: "tool_use", id, name, input }), parent_tool_use_id: null });
  const content = [{ type: "tool_result", tool_use_id: id, content: result }];
  print({ type: "user", message: { role: "user", content }, parent_tool_use_id: null });
}

/** The value of a flag; null where it is not given. */
function flag(name: string): string | null {
  const at = process.argv.indexOf(name);
  return at === -1 ? null : (process.argv[at + 1] ?? null);
}

/** What the real one refuses, it refuses too. */
function refusal(): string | null {
  const { argv, env } = process;
  if (!argv.includes("-p")) return "the stand-in knows -p only";
  if (flag("--output-format") !== "stream-json" || !argv.includes("--verbose")) {
    return "the stand-in knows --output-format stream-json --verbose only";
  }
  if (process.getuid?.() === 0) return "--dangerously-skip-permissions cannot be used with root/sudo privileges";
  return env["CLAUDE_CODE_OAUTH_TOKEN"] ? null : "Not logged in · Please run /login";
}

/** Our MCP server, as `--mcp-config` names it; null where it names none. */
async function startMcp(): Promise<McpServer | null> {
  const config = JSON.parse(readFileSync(flag("--mcp-config") ?? "", "utf8")) as { mcpServers: Record<string, Json> };
  const server = config.mcpServers["myzel"];
  if (server === undefined) return null;
  const env = { ...process.env, ...(server["env"] as Record<string, string>) };
  delete env["CLAUDE_CODE_OAUTH_TOKEN"];
  const child = spawn(server["command"] as string, server["args"] as string[], { env, stdio: ["pipe", "pipe", 2] });
  const ask = requests(child);
  const clientInfo = { name: "stand-in", version: "1" };
  await ask("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo });
  child.stdin?.write(`${JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" })}\n`);
  return {
    async call(tool, input) {
      const { content, isError } = await ask("tools/call", { name: tool, arguments: input });
      const text = (content as { text: string }[]).map((part) => part.text).join("\n");
      printUse(`mcp__myzel__${tool}`, input, text);
      if (isError === true) throw new Error(`${tool}: ${text}`);
      return text;
    },
    async close() {
      const ended = once(child, "exit");
      child.stdin?.end();
      await ended;
    },
  };
}

/** Asks a server over stdio: a line of JSON there, a line back. */
function requests(child: ChildProcess): (method: string, params: Json) => Promise<Json> {
  const waiting = new Map<number, { resolve: (result: Json) => void; reject: (error: Error) => void }>();
  if (child.stdout === null) throw new Error("the server has no standard output");
  createInterface({ input: child.stdout }).on("line", (line) => {
    const answer = JSON.parse(line) as { id?: number; result?: Json; error?: Json };
    const asked = waiting.get(answer.id ?? -1);
    if (answer.result === undefined) asked?.reject(new Error(JSON.stringify(answer.error)));
    else asked?.resolve(answer.result);
  });
  child.on("exit", (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the MCP server has ended (${code})`));
  });
  let id = 0;
  return (method, params) =>
    new Promise((resolve, reject) => {
      waiting.set(++id, { resolve, reject });
      child.stdin?.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    });
}

/** Lines of the own section of the plan, which is all that is remembered from run to run. */
function ownSection(mark: string): { lines: string[]; begin: number; end: number } {
  const lines = readFileSync(PLAN, "utf8").split("\n");
  const begin = lines.findIndex((line) => line.includes(mark));
  if (begin === -1) throw new Error(`${PLAN} has no section ${mark}`);
  const next = lines.findIndex((line, at) => at > begin && line.includes("<!-- epic:"));
  return { lines, begin, end: next === -1 ? lines.length : next };
}

function addToPlan(mark: string, line: string): void {
  const { lines, end } = ownSection(mark);
  while (lines[end - 1] === "" && end === lines.length) lines.pop();
  const at = Math.min(end, lines.length);
  writeFileSync(PLAN, `${[...lines.slice(0, at), line, ...lines.slice(at)].join("\n")}\n`);
  printUse("Edit", { file_path: PLAN, new_string: line }, "The file has been updated.");
}

async function playGreen(play: GreenPlay, prompt: string, mcp: McpServer | null): Promise<string> {
  const mark = /<!-- epic: [0-9a-f-]{36} -->/.exec(prompt)?.[0];
  if (mcp === null || mark === undefined) throw new Error("a Green needs an epic and its tools");
  const { lines, begin, end } = ownSection(mark);
  const planned = lines.slice(begin, end);
  const step = 1 + planned.filter((line) => line.startsWith("- step ")).length;
  await delay(play.thinkMs);
  if (step <= play.steps) return planStep(play, { mark, step, mcp });
  if (play.asks && !planned.includes("- asked")) {
    addToPlan(mark, "- asked");
    return mcp.call("ask_human", { question: "May it be finished?" });
  }
  addToPlan(mark, "- done");
  return mcp.call("finish_epic", { success: true, summary: `All ${play.steps} steps are done.` });
}

async function planStep(play: GreenPlay, at: { mark: string; step: number; mcp: McpServer }): Promise<string> {
  addToPlan(at.mark, `- step ${at.step}`);
  for (let n = 1; n <= play.parallel + play.serial; n++) {
    const red: RedPlay = { role: "red", file: `${play.name}-${at.step}-${n}.txt`, thinkMs: play.thinkMs };
    const addressee = n <= play.parallel ? {} : { addressee: play.serialAddressee };
    const kind = { kind: "implement", step: `step ${at.step}`, wake: "last" };
    await at.mcp.call("create_task", { prompt: `PLAY ${JSON.stringify(red)}`, ...addressee, ...kind });
  }
  return `Step ${at.step} is planned.`;
}

async function playRed(play: RedPlay): Promise<string> {
  await delay(play.thinkMs);
  appendFileSync(play.file, `${play.file}\n`);
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" });
  git("add", "--", play.file);
  const output = git("commit", "--quiet", "--message", `Write ${play.file}`);
  printUse("Bash", { command: `git add ${play.file} && git commit` }, output);
  return `Wrote ${play.file}.`;
}

async function main(): Promise<void> {
  if (process.argv.includes("--version")) return void process.stdout.write("0.0.0 (stand-in for Claude Code)\n");
  const refused = refusal();
  if (refused !== null) {
    process.stderr.write(`${refused}\n`);
    process.exit(1);
  }
  const prompt = readFileSync(0, "utf8");
  const found = /PLAY (\{[^\n]*\})/.exec(prompt);
  if (found === null) throw new Error("the prompt has no line that says what to play");
  const play = JSON.parse(found[1] ?? "") as GreenPlay | RedPlay;
  const mcp = await startMcp();
  const servers = mcp === null ? [] : [{ name: "myzel", status: "connected" }];
  print({
    type: "system",
    subtype: "init",
    cwd: process.cwd(),
    model: MODEL,
    apiKeySource: "none",
    mcp_servers: servers,
  });
  print({ type: "rate_limit_event", rate_limit_info: { status: "allowed", isUsingOverage: false } });
  const result = play.role === "green" ? await playGreen(play, prompt, mcp) : await playRed(play);
  await mcp?.close();
  print({ type: "assistant", message: message({ type: "text", text: result }), parent_tool_use_id: null });
  print({
    ...{ type: "result", subtype: "success", is_error: false, terminal_reason: "completed", result },
    ...{ num_turns: said, total_cost_usd: 0.001, api_error_status: null },
    modelUsage: { [MODEL]: { inputTokens: 100, outputTokens: 20, costUSD: 0.001, provider: "firstParty" } },
  });
}

await main();
