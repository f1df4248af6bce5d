/** The commands as commander knows them; each command's own definition is loaded when it is asked for. */
import { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { nameOf } from "./command-name.ts";
import { COMMANDS } from "./commands.ts";

/** All commands by name and summary; a command's own definition is added when it is asked for. */
export function buildProgram(): Command {
  const program = new Command("myzel")
    .description("Rows of a tasks table become ephemeral runs of Claude Code; results come back into the row.")
    .version(packageJson.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "myzel: ")) })
    .showHelpAfterError('(see "myzel --help")')
    .addHelpText("after", EXAMPLES);
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = program.command(name).summary(entry.summary).description(entry.summary).helpGroup(entry.group);
    if (entry.alias !== undefined) command.alias(entry.alias);
  }
  program.hook("preSubcommand", async (_program, command) => {
    await loadDefinition(command);
  });
  return program;
}

/** Adds to a command of `buildProgram` what its file defines. */
export async function loadDefinition(command: Command): Promise<void> {
  const file = await COMMANDS[command.name()]?.load();
  file?.define(command);
  for (const below of command.commands) if (below.description() === "") below.description(below.summary());
  for (const one of [command, ...command.commands]) one.showHelpAfterError(`(see "${nameOf(one)} --help")`);
}

const EXAMPLES = `
Examples:
  myzel up --launcher process            start everything on this machine
  myzel enqueue "Fix the failing test"   file a task for this checkout's repository
  myzel tasks                            what is pending, running, done
  myzel logs -f @last                    follow the newest task
  myzel why 3f2a                         what a task waits for
  myzel epic file "Ship the parser"      file a goal: agents plan it and do it
  myzel inbox                            what they ask you

Ids may be given as a unique beginning or end (at least 4 hex digits) or as @last, the newest one.
Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration, 3 the database cannot be reached,
130 you stopped waiting.`;
