/**
 * `myzel login`: stores the Claude token of this machine's runs in a file of mode 0600. The token comes
 * from a hidden prompt or from standard input, never as an argument, and is never shown again.
 */
import { Option } from "commander";
import type { Command } from "commander";
import type { Config } from "../../config.ts";
import { storedTokenPath } from "../../launch/process/claude-credential.ts";
import { EXIT, UsageError } from "../failure.ts";
import { addSettings, configOf } from "../settings.ts";
import { note, say, sayJson } from "../terminal/output.ts";
import { readHiddenLine } from "./hidden-line.ts";
import { removeToken, storeToken, tokenStatus } from "./stored-token.ts";

interface Options {
  status?: boolean;
  remove?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .option("--status", "say whether a token is stored")
    .addOption(new Option("--remove", "forget the stored token").conflicts("status"))
    .option("--json", "one object: file, stored; with --status also variable, with --remove removed")
    .addHelpText(
      "after",
      `
Make a token with "claude setup-token" (it needs a paid plan) and store it here. API keys are refused:
they would bill the API instead of your plan.

Examples:
  myzel login
  myzel login < token.txt
  myzel login --status`,
    )
    .action(async (options: Options) => {
      const config = configOf(command);
      const path = storedTokenPath(config.dataDir);
      if (options.status === true) return sayStatus(config, path, options.json === true);
      if (options.remove === true) {
        const removed = removeToken(path);
        if (options.json === true) sayJson({ file: path, stored: false, removed });
        else say(removed ? `The token in ${path} is removed.` : "No token was stored.");
      } else {
        const given = await readToken();
        if (given === null) {
          process.exitCode = EXIT.interrupted;
          return note("No token is stored.");
        }
        const { warning } = storeToken(path, demandToken(given));
        if (warning !== null) note(warning);
        if (options.json === true) sayJson({ file: path, stored: true });
        else say(`The token is stored in ${path}; new runs use it. Take it back with: myzel login --remove`);
      }
      await tellEngine(config);
    });
  addSettings(command, ["MYZEL_DATA_DIR"]);
}

function sayStatus(config: Config, path: string, json: boolean): void {
  const status = { file: path, stored: tokenStatus(path), variable: config.claudeToken !== undefined };
  if (json) return sayJson(status);
  if (status.variable) say("CLAUDE_CODE_OAUTH_TOKEN is set and goes before a stored token.");
  if (status.stored) say(`A token is stored in ${path}.`);
  else say('No token is stored. Make one with "claude setup-token", then run: myzel login');
}

/** Null after Ctrl-C. */
async function readToken(): Promise<string | null> {
  if (process.stdin.isTTY) return await readHiddenLine("Claude token (from claude setup-token): ");
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Its shape only; whether Claude accepts it, the first run shows. @throws UsageError; never quotes what was given */
function demandToken(text: string): string {
  const token = text.trim();
  if (token === "")
    throw new UsageError('There is no token: make one with "claude setup-token" and paste it, or pipe it in.');
  if (token.startsWith("sk-ant-api")) {
    throw new UsageError(
      'This is an API key, which would bill the API instead of your plan: make a token with "claude setup-token".',
    );
  }
  if (/[^\x21-\x7e]/.test(token))
    throw new UsageError("This is no token: it holds white space or characters that no token has.");
  return token;
}

/** Where an engine runs, it looks at its credentials again at once; else nothing is lost. */
async function tellEngine(config: Config): Promise<void> {
  const { findDatabase } = await import("../../embedded-postgres/find-database.ts");
  const { openDatabase } = await import("../../store/connection.ts");
  const { wakeEngine } = await import("../../store/steer.ts");
  const url = await findDatabase(config).catch(() => null);
  if (url === null) return;
  const database = openDatabase({ url, applicationName: "myzel login", max: 1, connectTimeoutMs: 3_000 });
  await wakeEngine(database).catch(() => undefined);
  await database.close().catch(() => undefined);
}
