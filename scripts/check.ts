/**
 * `npm run check`: everything that can be said of the code without running it, one step after the other,
 * all of them even where one fails. Changes nothing. Each failure names the command that mends it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");

interface Step {
  readonly name: string;
  /** A script below node_modules/ or scripts/, run by this Node, and its arguments. */
  readonly command: readonly string[];
  readonly failure: string;
}

const STEPS: readonly Step[] = [
  {
    name: "format",
    command: [
      "node_modules/oxfmt/bin/oxfmt",
      "--check",
      "!**/*.md",
      "!**/package.json",
      "!package-lock.json",
      "!bench/**/results.json",
    ],
    failure: "Some files are not formatted: npm run format",
  },
  {
    name: "lint",
    command: ["node_modules/oxlint/bin/oxlint", "--deny-warnings"],
    failure: "The linter objects (layering rules are in .oxlintrc.json): npm run lint -- --fix mends the simple things",
  },
  {
    name: "types",
    command: ["node_modules/typescript/bin/tsc", "--project", "tsconfig.json"],
    failure: "The types do not fit: npm run types shows where",
  },
  {
    name: "dead code",
    command: ["node_modules/knip/bin/knip.js", "--no-progress"],
    failure: "Something is not used, or used without being declared: remove it, or explain it in knip.json",
  },
  {
    name: "generated files",
    command: ["scripts/generate.ts", "--check"],
    failure: "The schema dump or the table types are out of date: npm run generate",
  },
];

const failures: string[] = [];
for (const step of STEPS) {
  const start = performance.now();
  const passed = await run(step.command);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${passed ? "ok    " : "FAILED"} ${step.name} (${seconds} s)`);
  if (!passed) failures.push(`${step.name}: ${step.failure}`);
}
for (const failure of failures) console.error(failure);
process.exitCode = failures.length === 0 ? 0 : 1;

/** What a step prints appears only where it fails. */
async function run(command: readonly string[]): Promise<boolean> {
  const child = spawn(process.execPath, command, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => printed.push(chunk));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) process.stdout.write(Buffer.concat(printed));
  return code === 0;
}
