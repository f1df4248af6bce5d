/** What a run logs in with: the copy of a Claude login, and every value that no log may show. */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loginSecrets } from "../../../worker-image/claude-secrets.ts";
import { secretTexts } from "../../../worker-image/profile-secrets.ts";
import type { GitLogin } from "./git-login.ts";
import { networkVariables } from "./phase-environment.ts";
import { RUN_FILES } from "./run-directory.ts";
import type { RunSecrets } from "./run-directory.ts";

/** The files of `~/.claude` that make a login; nothing else of it concerns a run. */
const LOGIN_FILES = [".credentials.json", ".claude.json"];

/** The run's user may read the login but not change it, for publish reads it after the agent did. */
export function copyLogin(source: string, uid: number | null): void {
  rmSync(RUN_FILES.claude, { recursive: true, force: true });
  mkdirSync(RUN_FILES.claude, { mode: 0o700 });
  for (const name of LOGIN_FILES) {
    const file = join(source, name);
    if (!existsSync(file)) continue;
    const copy = join(RUN_FILES.claude, name);
    writeFileSync(copy, readFileSync(file), { mode: 0o600 });
    if (uid !== null) showToGroup(copy, 0o440, uid);
  }
  if (uid !== null) showToGroup(RUN_FILES.claude, 0o550, uid);
}

function showToGroup(path: string, mode: number, gid: number): void {
  chownSync(path, process.getuid?.() ?? 0, gid);
  chmodSync(path, mode);
}

/** For masking. */
export function secretValues(secrets: RunSecrets, gitLogin: GitLogin | null): string[] {
  const { claude } = secrets;
  return [
    secrets.token,
    secrets.databaseUrl,
    passwordIn(secrets.databaseUrl),
    passwordIn(secrets.repoUrl ?? ""),
    ...Object.values(networkVariables(process.env)).map(passwordIn),
    gitLogin?.password ?? "",
    ...Object.values(secrets.profile).flatMap(secretTexts),
    ...(claude === null ? [] : "token" in claude ? [claude.token] : loginSecrets(RUN_FILES.claude)),
  ];
}

/** Empty where there is none. */
function passwordIn(url: string): string {
  try {
    return decodeURIComponent(new URL(url).password);
  } catch {
    return "";
  }
}
