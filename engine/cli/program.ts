/**
 * The command line: finds the command, loads its file, runs it, and turns what went wrong into one
 * sentence and an exit code. Nothing heavy is loaded before the command is known.
 */
import { CommanderError } from "commander";
import { buildProgram } from "./commander-program.ts";
import { EXIT, reportFailure } from "./failure.ts";

/** They have more to do than to print, and something to bring to an end. */
const DAEMONS: readonly string[] = ["up", "engine"];

/** Runs one command line. Returns the exit code; never throws. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  forgiveReaders(args[0]);
  try {
    if (args[0] === "__complete") {
      const { completeWords } = await import("./completion/complete-words.ts");
      await completeWords(args.slice(1));
      return EXIT.done;
    }
    const program = buildProgram();
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    await program.parseAsync(helpAsOption(args), { from: "user" });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    // Commander has said it already; its own exit codes are 0 for help and 1 for wrong usage.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return await reportFailure(error);
  }
}

/** Whoever reads our output may stop reading, as in `myzel tasks | head`: that is the end, but for daemons. */
function forgiveReaders(command: string | undefined): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (!DAEMONS.includes(command ?? "")) process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.failed);
  });
  process.stderr.on("error", () => undefined);
}

/** `myzel help epic file` → `myzel epic file --help`, `myzel version` → `myzel --version`. */
function helpAsOption(args: readonly string[]): string[] {
  if (args[0] === "version" && args.length === 1) return ["--version"];
  return args[0] === "help" ? [...args.slice(1), "--help"] : [...args];
}
