/**
 * Masks the run's Claude login, also after Claude Code has renewed it in the run's HOME, and the profile's secrets.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { LOGIN_FILE, claudeSecrets, loginSecrets } from "../claude-secrets.ts";
import { createMasker } from "../masking.ts";
import { profileSecrets, secretTexts } from "../profile-secrets.ts";

export interface Secrets {
  /** The text without any secret of the run. */
  mask(text: string): string;
  /** Takes notice of a login that was renewed since; cheap where it was not. */
  refresh(): void;
}

/** The secrets that the environment holds or names, and those of the login below `home`. */
export function openSecrets(environment: Readonly<Record<string, string | undefined>>, home: string): Secrets {
  const directory = join(home, ".claude");
  const values = new Set([
    ...claudeSecrets(environment),
    ...Object.values(profileSecrets(environment)).flatMap(secretTexts),
  ]);
  let masker = createMasker([...values]);
  let seen = 0;
  return {
    mask: (text) => masker.text(text),
    refresh() {
      const changed = modified(join(directory, LOGIN_FILE));
      if (changed === seen) return;
      seen = changed;
      for (const value of loginSecrets(directory)) values.add(value);
      masker = createMasker([...values]);
    },
  };
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
