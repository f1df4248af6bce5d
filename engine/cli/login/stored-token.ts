/** The file that holds the Claude token of this machine's runs. */
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { prepareDataDirectory } from "../../data-directory.ts";

/** What a token of `claude setup-token` begins with. */
const USUAL = "sk-ant-oat";

/** Replaces the file whole, mode 0600. `warning`: the token looks unusual. */
export function storeToken(path: string, token: string): { warning: string | null } {
  prepareDataDirectory(dirname(path));
  const partial = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    writeFileSync(partial, `${token}\n`, { mode: 0o600, flag: "wx", flush: true });
    chmodSync(partial, 0o600);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  const usual = token.startsWith(USUAL);
  return { warning: usual ? null : `Note: tokens of "claude setup-token" begin with ${USUAL}; this one does not.` };
}

/** Whether there was one. */
export function removeToken(path: string): boolean {
  const there = existsSync(path);
  rmSync(path, { force: true });
  return there;
}

export function tokenStatus(path: string): boolean {
  return existsSync(path);
}
