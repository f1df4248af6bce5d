/** The last step of a program: what it printed, its exit code, and an end that nothing holds up. */
import { accessSync, constants } from "node:fs";
import { flushCompileCache } from "node:module";
import { setTimeout as delay } from "node:timers/promises";

const SHELL = "/bin/sh";

/** A reader that takes nothing for so long is not waited for. */
const READER_PATIENCE_MS = 5_000;

/** Ends this process with that exit code, when what it printed is read or nobody reads it. */
export async function leave(exitCode: number): Promise<never> {
  await Promise.race([printed(), delay(READER_PATIENCE_MS, undefined, { ref: false })]);
  leaveAtOnce(exitCode);
}

/** Resolves when both outputs are in their pipes, or their readers have gone. */
async function printed(): Promise<void> {
  const outputs = [process.stdout, process.stderr].map(async (output) => {
    output.on("error", () => undefined);
    await new Promise((resolve) => output.write("", resolve));
  });
  await Promise.all(outputs);
}

/**
 * Ends this process with that exit code. Node's own way out waits for its threads: for ever where one hangs in a call of the
 * system, or two wait for each other (https://github.com/nodejs/node/issues/54918). Here the kernel ends them: a shell takes
 * this process' place, and all it does is to say the code.
 */
function leaveAtOnce(exitCode: number): never {
  if (process.execve !== undefined && canRun(SHELL)) {
    flushCompileCache(); // nothing is written on this way out
    process.execve(SHELL, ["sh", "-c", `exit ${exitCode}`], {});
  }
  process.exit(exitCode);
}

function canRun(program: string): boolean {
  try {
    accessSync(program, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
