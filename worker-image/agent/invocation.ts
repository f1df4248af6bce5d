/**
 * How Claude Code is called: its arguments and its files.
 *
 * What HOME could set is switched off, and what the repository could set unless the profile trusts it; the
 * prompt goes through standard input, where no argument limit holds and `ps` shows nothing.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Brief, WORKSPACE } from "../contract.ts";
import { offerOf, offersAnything } from "../mcp/offer.ts";
import { asData } from "./data-marks.ts";
import { instructionArguments } from "./repository-instructions.ts";
import { settingsArguments } from "./repository-settings.ts";
import { skillArguments } from "./skills.ts";
import { systemPromptOf } from "./system-prompt.ts";

/** Name of our MCP server: one of its tools is `mcp__myzel__create_task`. */
const SERVER_NAME = "myzel";

export interface InvocationOptions {
  /** Go on with this session of the same HOME and directory. */
  resume: string | null;
  maxTurns: number | null;
  maxCostUsd: number | null;
  /** `MYZEL_MODEL_BASE_URL`. */
  modelBaseUrl: string | undefined;
}

/** Writes the files that the CLI is given (again before each invocation, for the agent may have touched them) and returns its arguments. */
export function prepareInvocation(brief: Brief, workspace: string, options: InvocationOptions): string[] {
  const mcpConfig = join(workspace, "mcp.json");
  const systemPrompt = join(workspace, "system-prompt.md");
  writeFileSync(mcpConfig, JSON.stringify({ mcpServers: mcpServers(brief, workspace) }));
  writeFileSync(systemPrompt, systemPromptOf(brief).text);
  return [
    "-p",
    ...["--output-format", "stream-json", "--verbose"],
    "--dangerously-skip-permissions",
    ...settingsArguments(brief, options.modelBaseUrl),
    ...["--mcp-config", mcpConfig],
    ...instructionArguments(brief, workspace),
    ...skillArguments(brief, workspace),
    ...["--append-system-prompt-file", systemPrompt],
    ...flag("--model", brief.profile.model),
    ...flag("--effort", brief.profile.effort),
    ...flag("--max-turns", options.maxTurns),
    ...flag("--max-budget-usd", options.maxCostUsd),
    ...flag("--resume", options.resume),
  ];
}

/** What the agent is told when the check command failed. */
export function checksMessage(command: string, output: string): string {
  return [
    "The checks of this task failed. Mend what they found, commit it, and end your turn; they run again then.",
    `Command: ${command}`,
    `End of its output:\n${asData("the check command", output)}`,
  ].join("\n\n");
}

function mcpServers(brief: Brief, workspace: string): Record<string, unknown> {
  const offer = offerOf(brief);
  if (!offersAnything(offer)) return brief.profile.mcp_servers;
  const outbox = join(workspace, WORKSPACE.outbox);
  mkdirSync(outbox, { recursive: true });
  const server = {
    command: process.execPath,
    args: [join(import.meta.dirname, "..", "mcp", "server.ts")],
    env: { MYZEL_OUTBOX: outbox, MYZEL_OFFER: JSON.stringify(offer), ...compiledCode() },
    // Else the tools' descriptions stay out of the first request and the model must search for it.
    alwaysLoad: true,
  };
  return { ...brief.profile.mcp_servers, [SERVER_NAME]: server };
}

/** The server's start-up is part of every agent's; the CLI is not given this variable, so the server would not get it. */
function compiledCode(): Record<string, string> {
  const directory = process.env["NODE_COMPILE_CACHE"];
  return directory ? { NODE_COMPILE_CACHE: directory } : {};
}

function flag(name: string, value: string | number | null): string[] {
  return value === null ? [] : [name, String(value)];
}
