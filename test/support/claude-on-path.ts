/** Puts a stand-in for the Claude Code CLI on a PATH: for tests of everything around the agents, not of the agents. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

export interface ClaudeOnPath {
  /** This process's environment, with the stand-in as the first `claude` on the PATH. */
  environment: NodeJS.ProcessEnv;
  remove(): void;
}

/** Lays out claude-stand-in.ts as a program that any user and any Node of the PATH can run. */
export function claudeStandIn(): ClaudeOnPath {
  const directory = mkdtempSync(join(tmpdir(), "myzel-claude-"));
  chmodSync(directory, 0o755);
  writeFileSync(join(directory, "package.json"), '{"type":"module"}\n');
  const source = join(import.meta.dirname, "claude-stand-in.ts");
  writeFileSync(join(directory, "claude"), `#!/usr/bin/env node\n${withoutTypes(source)}`, { mode: 0o755 });
  const path = [directory, process.env["PATH"]].join(delimiter);
  return {
    environment: { ...process.env, PATH: path },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** In a process of its own, for Node warns that this is an experiment. */
function withoutTypes(path: string): string {
  const program = `
    const { readFileSync } = require("node:fs");
    process.stdout.write(require("node:module").stripTypeScriptTypes(readFileSync(process.argv[1], "utf8")));`;
  return execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", "--eval", program, path], {
    encoding: "utf8",
  });
}
