/** The command line, from arguments to exit code: what `bin/myzel` execs. */
import { runCommandLine } from "./cli/program.ts";

process.exitCode = await runCommandLine(process.argv.slice(2));
