/**
 * Settings as flags: `MYZEL_POLL_INTERVAL` → `--poll-interval`. Every command takes every one of them, unless it has an
 * option of its own by that name; its help shows those that mean something to it. Secrets are not among them, because
 * everybody on the machine can read a command line.
 */
import { Option } from "commander";
import type { Command } from "commander";
import { describeSettings, loadConfig } from "../config.ts";
import type { Config, SettingName } from "../config.ts";

const SECRETS: readonly SettingName[] = ["CLAUDE_CODE_OAUTH_TOKEN"];
/** May hold a password. */
const URLS: readonly SettingName[] = ["DATABASE_URL", "MYZEL_POD_DATABASE_URL"];

/** What every command that asks the database needs. */
export const CONNECTION: readonly SettingName[] = ["DATABASE_URL", "MYZEL_DATA_DIR"];

const GROUP = "Settings:";

/** Adds the flags, after the command's own options; `shown` ones appear in the command's help. */
export function addSettings(command: Command, shown: readonly SettingName[] | "all" = CONNECTION): void {
  for (const { name, help } of describeSettings()) {
    if (SECRETS.includes(name) || ownOption(command, name)) continue;
    const warning = URLS.includes(name) ? "; better set as a variable, for others can read a command line" : "";
    const option = new Option(`${flagOf(name)} <value>`, `${help} (${name}${warning})`).helpGroup(GROUP);
    command.addOption(shown === "all" || shown.includes(name) ? option : option.hideHelp());
  }
}

/** The configuration of this command: flags over environment. @throws ConfigError */
export function configOf(command: Command): Config {
  const flags: Partial<Record<SettingName, string>> = {};
  for (const { name } of describeSettings()) {
    const value: unknown = command.getOptionValue(attributeOf(name));
    if (!SECRETS.includes(name) && !ownOption(command, name) && typeof value === "string") flags[name] = value;
  }
  return loadConfig(process.env, flags);
}

/** The command means something else by this flag, as `project set --max-live-runs` does. */
function ownOption(command: Command, name: SettingName): boolean {
  const option = command.options.find(({ long }) => long === flagOf(name));
  return option !== undefined && option.helpGroupHeading !== GROUP;
}

/** `--poll-interval` */
function flagOf(name: SettingName): string {
  return `--${name
    .replace(/^MYZEL_/, "")
    .toLowerCase()
    .replaceAll("_", "-")}`;
}

function attributeOf(name: SettingName): string {
  return flagOf(name)
    .slice(2)
    .replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
