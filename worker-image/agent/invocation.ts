/**
 * How Claude Code is called: its arguments, its files, its first message.
 *
 * Everything that the repository or HOME could set is switched off; the prompt goes through standard
 * input, where no argument limit holds and `ps` shows nothing.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Brief, WORKSPACE } from "../contract.ts";

/** Name of our MCP server: its tool is `mcp__myzel__create_task`. */
const SERVER_NAME = "myzel";

/**
 * Given inline, for settings files are watched: one in reach of the agent could redirect the running
 * process. No commit trailers, no hooks.
 */
const SETTINGS = { attribution: { commit: "", pr: "" }, disableAllHooks: true };

const PROMPTS = { red: "red.md", green: "green.md" } as const;

export interface InvocationOptions {
  /** Go on with this session of the same HOME and directory. */
  resume: string | null;
  maxTurns: number | null;
  maxCostUsd: number | null;
}

/** Writes the files that the CLI is given (again before each invocation, for the agent may have touched them) and returns its arguments. */
export function prepareInvocation(brief: Brief, workspace: string, options: InvocationOptions): string[] {
  const mcpConfig = join(workspace, "mcp.json");
  const systemPrompt = join(workspace, "system-prompt.md");
  writeFileSync(mcpConfig, JSON.stringify({ mcpServers: mcpServers(brief, workspace) }));
  writeFileSync(systemPrompt, systemPromptText(brief));
  return [
    "-p",
    ...["--output-format", "stream-json", "--verbose"],
    "--dangerously-skip-permissions",
    ...["--setting-sources", "", "--settings", JSON.stringify(SETTINGS)],
    ...["--strict-mcp-config", "--mcp-config", mcpConfig],
    ...["--add-dir", "."],
    ...["--append-system-prompt-file", systemPrompt],
    ...flag("--model", brief.profile.model),
    ...flag("--effort", brief.profile.effort),
    ...flag("--max-turns", options.maxTurns),
    ...flag("--max-budget-usd", options.maxCostUsd),
    ...flag("--resume", options.resume),
  ];
}

/** The first message. Begins with text of ours, for a message that begins with `/` is a command to the CLI. */
export function firstMessage(brief: Brief): string {
  const where = brief.branch === null ? "There is no repository." : `You are on branch ${brief.branch}.`;
  return `Task ${brief.task_id} for ${brief.addressee}. ${where}\n\n${brief.prompt}`;
}

/** What the agent is told when the check command failed. */
export function checksMessage(command: string, output: string): string {
  return [
    "The checks of this task failed. Mend what they found, commit it, and end your turn; they run again then.",
    `Command: ${command}`,
    `End of its output:\n${output}`,
  ].join("\n\n");
}

function mcpServers(brief: Brief, workspace: string): Record<string, unknown> {
  if (!brief.profile.may_create_tasks) return brief.profile.mcp_servers;
  const outbox = join(workspace, WORKSPACE.outbox);
  mkdirSync(outbox, { recursive: true });
  const server = {
    command: process.execPath,
    args: [join(import.meta.dirname, "..", "mcp", "server.ts")],
    env: { MYZEL_OUTBOX: outbox },
    // Else the tool's description stays out of the first request and the model must search for it.
    alwaysLoad: true,
  };
  return { ...brief.profile.mcp_servers, [SERVER_NAME]: server };
}

/** The role's text without its header comment, then the profile's. */
function systemPromptText(brief: Brief): string {
  const path = join(import.meta.dirname, "..", "prompts", PROMPTS[brief.profile.role]);
  const base = readFileSync(path, "utf8").replace(/^<!--[\s\S]*?-->\s*/, "");
  return brief.profile.system_prompt === null ? base : `${base}\n${brief.profile.system_prompt}\n`;
}

function flag(name: string, value: string | number | null): string[] {
  return value === null ? [] : [name, String(value)];
}
