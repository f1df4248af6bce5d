/** Runs a program to its end. What it printed is shown only where it fails. */
import { execFile } from "node:child_process";

/** What it printed on stdout. @throws Error with its last words */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { cwd?: string; environment?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const environment = { ...process.env, ...options.environment };
  const settings = { env: environment, maxBuffer: 2 ** 26, ...(options.cwd === undefined ? {} : { cwd: options.cwd }) };
  return new Promise((resolve, reject) => {
    execFile(program, args, settings, (error, stdout, stderr) => {
      const words = `${stdout}\n${stderr}`.trim().split("\n").slice(-30).join("\n");
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} ${args.join(" ")} failed (${error.code}):\n${words}`));
    });
  });
}
