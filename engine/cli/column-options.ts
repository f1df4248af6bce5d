/** Options that are columns of a table: one list says flag, column, help and how a value is read. */
import { Option } from "commander";
import type { Command } from "commander";
import { dollars, positiveInteger, wallTime } from "./option-values.ts";

export type ColumnValue = string | number | null;

export interface ColumnOption {
  /** As commander wants it: `--max-tasks <n>`. */
  flags: string;
  column: string;
  help: string;
  choices?: readonly string[];
  /** Default: the text as it is. */
  parse?: (text: string) => ColumnValue;
}

/** Limits of an epic, without prefix: columns of epics; with `epic_` before it: those of its project. */
export const EPIC_LIMITS: readonly ColumnOption[] = [
  { flags: "--max-tasks <n>", column: "max_tasks", help: "tasks in all", parse: positiveInteger },
  {
    flags: "--max-tasks-per-run <n>",
    column: "max_tasks_per_run",
    help: "tasks that one run may create",
    parse: positiveInteger,
  },
  { flags: "--max-depth <n>", column: "max_depth", help: "how deep work is delegated", parse: positiveInteger },
  {
    flags: "--max-failures <n>",
    column: "max_failures_in_a_row",
    help: "failures in a row of one step",
    parse: positiveInteger,
  },
  { flags: "--max-runs <n>", column: "max_runs", help: "runs in all", parse: positiveInteger },
  { flags: "--max-live-runs <n>", column: "max_live_runs", help: "runs at a time", parse: positiveInteger },
  {
    flags: "--max-tokens <n>",
    column: "max_tokens",
    help: "tokens in all (default: no limit)",
    parse: positiveInteger,
  },
  { flags: "--max-cost <usd>", column: "max_cost_usd", help: "cost at list price (default: no limit)", parse: dollars },
  {
    flags: "--max-wall-time <time>",
    column: "max_wall_time",
    help: "from the first run on, like 12h or 7d",
    parse: wallTime,
  },
];

/** With `clearable`, an empty value takes a setting back. */
export function addColumnOptions(
  command: Command,
  options: readonly ColumnOption[],
  shown: { group: string; clearable?: boolean },
): void {
  for (const { flags, help, choices, parse } of options) {
    const option = new Option(flags, help).helpGroup(shown.group);
    if (choices !== undefined) option.choices([...choices]);
    const chosen = option.parseArg;
    const read = parse ?? ((text: string) => (chosen === undefined ? text : chosen(text, text)));
    option.argParser<unknown>((text) => (shown.clearable === true && text === "" ? text : read(text)));
    command.addOption(option);
  }
}

/** What was given, by the names of the columns; null: taken back. */
export function givenColumns(command: Command, options: readonly ColumnOption[]): Record<string, ColumnValue> {
  const given: Record<string, ColumnValue> = {};
  for (const { flags, column } of options) {
    const value: unknown = command.getOptionValue(new Option(flags).attributeName());
    if (typeof value === "string" || typeof value === "number") given[column] = value === "" ? null : value;
  }
  return given;
}
