/**
 * What may come next on a command line that is being typed: commands, options, values, task ids. Prints
 * one candidate a line, with a description behind a tab. Says nothing where anything fails: a shell that
 * completes is no place for errors.
 */
import type { Argument, Command, Option } from "commander";
import { say } from "./output.ts";
import { buildProgram, loadDefinition } from "./commander-program.ts";
import { oneLine, shortId } from "./terminal-text.ts";

const MOST_TASKS = 20;
const CONNECT_TIMEOUT_MS = 2_000;

interface Candidate {
  value: string;
  description: string;
}

/** `words`: those after the program's name, the last one being typed (it may be empty). */
export async function completeWords(words: readonly string[]): Promise<void> {
  const typed = words.at(-1) ?? "";
  const candidates = await candidatesFor(words.slice(0, -1), typed).catch(() => []);
  for (const { value, description } of candidates) {
    if (value.startsWith(typed)) say(description === "" ? value : `${value}\t${oneLine(description, 60)}`);
  }
}

async function candidatesFor(before: readonly string[], typed: string): Promise<Candidate[]> {
  const program = buildProgram();
  const [name, ...rest] = before;
  if (name === undefined)
    return program.commands.map((command) => ({ value: command.name(), description: command.summary() }));
  const command = program.commands.find((one) => one.name() === name || one.aliases().includes(name));
  if (command === undefined) return [];
  await loadDefinition(command);
  const option = optionOf(command, rest.at(-1));
  if (option?.required === true) return choicesOf(option);
  if (typed.startsWith("-")) return command.createHelp().visibleOptions(command).flatMap(flags);
  const argument = command.registeredArguments[0];
  const given = rest.filter((word, at) => !word.startsWith("-") && optionOf(command, rest[at - 1])?.required !== true);
  if (argument === undefined || given.length > 0) return [];
  return argument.name() === "task" ? await taskIds(command) : choicesOf(argument);
}

function optionOf(command: Command, word: string | undefined): Option | undefined {
  if (word === undefined) return undefined; // an option without a short form would match
  return command.options.find((option) => option.long === word || option.short === word);
}

function choicesOf(of: Option | Argument): Candidate[] {
  return (of.argChoices ?? []).map((value) => ({ value, description: "" }));
}

function flags(option: Option): Candidate[] {
  return option.long === undefined ? [] : [{ value: option.long, description: option.description }];
}

async function taskIds(command: Command): Promise<Candidate[]> {
  const { findDatabase } = await import("../embedded-postgres/find-database.ts");
  const { openDatabase } = await import("../store/connection.ts");
  const { newestTasks } = await import("../store/find-task.ts");
  const { configOf } = await import("./settings.ts");
  const database = openDatabase({
    url: await findDatabase(configOf(command)),
    applicationName: "myzel completion",
    max: 1,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: CONNECT_TIMEOUT_MS,
  });
  try {
    const tasks = await newestTasks(database, MOST_TASKS);
    return [
      ...tasks.map((task) => ({ value: shortId(task.id), description: task.prompt })),
      { value: "@last", description: "the newest task" },
    ];
  } finally {
    await database.close();
  }
}
