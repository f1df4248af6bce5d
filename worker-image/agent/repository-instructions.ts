/**
 * The repository's own instructions for agents. Claude Code reads `CLAUDE.md` of the directories that it is given, and
 * `AGENTS.md` only where it takes the repository's settings too (observed with 2.1.329): else it is handed over under
 * the other name.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Brief, WORKSPACE } from "../contract.ts";

const MAX_BYTES = 256 * 2 ** 10;

/** The directories whose `CLAUDE.md` the CLI reads, as its arguments. Writes into the workspace. */
export function instructionArguments(brief: Brief, workspace: string): string[] {
  const own = join(workspace, "instructions");
  rmSync(own, { recursive: true, force: true });
  const repo = join(workspace, WORKSPACE.repo);
  const agents =
    brief.profile.trust_repository || hasClaudeFile(repo) ? null : readRegularFile(join(repo, "AGENTS.md"));
  if (agents === null) return ["--add-dir", "."];
  mkdirSync(own);
  writeFileSync(join(own, "CLAUDE.md"), `The repository's AGENTS.md:\n\n${agents}`);
  return ["--add-dir", ".", own];
}

function hasClaudeFile(repo: string): boolean {
  return ["CLAUDE.md", ".claude/CLAUDE.md"].some(
    (name) => statSync(join(repo, name), { throwIfNoEntry: false })?.isFile() === true,
  );
}

/** null where it is none, is a link, or is too long. */
function readRegularFile(path: string): string | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(file);
    return stat.isFile() && stat.size <= MAX_BYTES ? readFileSync(file, "utf8") : null;
  } finally {
    closeSync(file);
  }
}
