/**
 * What may come next on a command line that is being typed: commands, options, values, ids, names. Prints
 * one candidate a line, with a description behind a tab. Says nothing where anything fails: a shell that
 * completes is no place for errors.
 */
import type { Argument, Command, Option } from "commander";
import { buildProgram, loadDefinition } from "../commander-program.ts";
import { say } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";
import type { Candidate } from "./complete-names.ts";

/** `words`: those after the program's name, the last one being typed (it may be empty). */
export async function completeWords(given: readonly string[]): Promise<void> {
  const words = joined(given);
  const last = words.at(-1) ?? "";
  // `--status=pe`: the option is given, its value is being typed.
  const [, prefix = "", typed = last] = /^(--[\w-]+=)(.*)$/s.exec(last) ?? [];
  const before = [...words.slice(0, -1), ...(prefix === "" ? [] : [prefix.slice(0, -1)])];
  const candidates = await candidatesFor(before, typed).catch(() => []);
  for (const { value, description } of candidates) {
    if (!value.startsWith(typed)) continue;
    say(description === "" ? prefix + value : `${prefix}${value}\t${oneLine(description, 60)}`);
  }
}

/** Bash breaks words at `@` and `=`: `@ last` and `--status = pending` as they were typed. */
function joined(words: readonly string[]): string[] {
  const whole: string[] = [];
  for (const [at, word] of words.entries()) {
    if (words[at - 1] === "@") whole.splice(-1, 1, `@${word}`);
    else if (word !== "=" || !whole.at(-1)?.startsWith("--")) whole.push(word);
    else if (at === words.length - 1) whole.push("");
  }
  return whole;
}

async function candidatesFor(before: readonly string[], typed: string): Promise<Candidate[]> {
  const { command, rest } = await commandOf(before);
  const option = optionOf(command, rest.at(-1));
  if (option?.required === true) return await valuesOf(command, option, option.attributeName());
  if (typed.startsWith("-")) return command.createHelp().visibleOptions(command).flatMap(flags);
  const given = rest.filter((word, at) => !word.startsWith("-") && optionOf(command, rest[at - 1])?.required !== true);
  if (command.commands.length > 0 && given.length === 0)
    return command.commands.map((one) => ({ value: one.name(), description: one.summary() || one.description() }));
  const last = command.registeredArguments.at(-1);
  const argument = command.registeredArguments[given.length] ?? (last?.variadic === true ? last : undefined);
  return argument === undefined ? [] : await valuesOf(command, argument, argument.name());
}

/** The command that is named, however deep (`epic file`), and the words behind its name. */
async function commandOf(before: readonly string[]): Promise<{ command: Command; rest: readonly string[] }> {
  let command = buildProgram();
  let rest = before;
  for (;;) {
    const name = rest[0];
    const next = command.commands.find((one) => one.name() === name || (name && one.aliases().includes(name)));
    if (next === undefined) return { command, rest };
    if (command.parent === null) await loadDefinition(next);
    command = next;
    rest = rest.slice(1);
  }
}

function optionOf(command: Command, word: string | undefined): Option | undefined {
  if (word === undefined) return undefined; // an option without a short form would match
  return command.options.find((option) => option.long === word || option.short === word);
}

/** Its choices; ids and names of what is in the database where `name` says that it is one. */
async function valuesOf(command: Command, of: Option | Argument, name: string): Promise<Candidate[]> {
  if (of.argChoices !== undefined) return of.argChoices.map((value) => ({ value, description: "" }));
  const { completeNames } = await import("./complete-names.ts");
  return await completeNames(command, name);
}

function flags(option: Option): Candidate[] {
  return option.long === undefined ? [] : [{ value: option.long, description: option.description }];
}
