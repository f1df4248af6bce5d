/**
 * `myzel psql`: psql on the database, with the operator's login. The login goes through the
 * environment, never on a command line.
 */
import { spawn } from "node:child_process";
import type { Command } from "commander";
import { findDatabase } from "../../embedded-postgres/find-database.ts";
import { EXIT, UsageError } from "../failure.ts";
import { findProgram } from "../find-program.ts";
import { addSettings, configOf } from "../settings.ts";
import { note } from "../terminal/output.ts";
import { psqlEnvironment } from "./psql-environment.ts";

export function define(command: Command): void {
  command
    .argument("[arguments...]", "passed on to psql; put those after -- that are options of this command too")
    .allowUnknownOption()
    .addHelpText(
      "after",
      `
Examples:
  myzel psql
  myzel psql -c "select * from queue"
  myzel psql -c "insert into tasks (addressee, prompt) values ('worker-1', 'Say hello')"`,
    )
    .action(async (args: string[]) => {
      const program = findProgram("psql");
      if (program === null) {
        throw new UsageError(
          "psql is not installed: apt install postgresql-client (or your system's package of that name).",
        );
      }
      const config = configOf(command);
      const url = await findDatabase(config);
      process.exitCode = await run(program, ["--set=SHOW_CONTEXT=never", ...args], psqlEnvironment(url, process.env));
      if (process.exitCode === EXIT.unreachable && config.databaseUrl === undefined)
        note("Is the database up? Start it with: myzel up");
    });
  addSettings(command);
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: "inherit" });
    // Ctrl-C reaches psql by itself, which cancels its query; we live on with it.
    const ignore = () => {};
    const passOn = () => child.kill("SIGTERM");
    process.on("SIGINT", ignore);
    process.once("SIGTERM", passOn);
    child.once("error", reject);
    child.once("exit", (code) => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", passOn);
      resolve(exitCode(code));
    });
  });
}

/** psql's own codes: 1 a fatal error of its own, 2 no connection, 3 an error in a script. */
function exitCode(code: number | null): number {
  if (code === 2) return EXIT.unreachable;
  return code === 0 ? EXIT.done : EXIT.failed;
}
