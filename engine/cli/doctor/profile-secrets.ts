/** Checks of what profiles give their agents from this machine: can each secret be read. Values are neither kept nor shown. */
import { ok, problem, unknown, type Check } from "../../check.ts";
import type { Config } from "../../config.ts";
import { LaunchError, type SecretSource } from "../../launch/launcher.ts";
import { resolveProfileSecrets, type SecretPlaces } from "../../launch/process/profile-secrets.ts";
import type { ProfileRow } from "../../store/profiles.ts";

/** A check for each profile whose secrets are all well, else for each secret that is not. */
export function checkProfileSecrets(
  config: Config,
  { profiles, engineIsLive }: { profiles: readonly ProfileRow[]; engineIsLive: boolean },
): Check[] {
  const places = { dataDir: config.dataDir, environment: process.env };
  return profiles.flatMap(({ name: profile, secrets }) => {
    const sources = Object.entries(secrets);
    if (sources.length === 0) return [];
    const wrong = sources.flatMap(([name, source]) => judge({ profile, name, source, engineIsLive }, places) ?? []);
    return wrong.length > 0 ? wrong : [ok(`secrets of ${profile}`, `${Object.keys(secrets).join(", ")}: present`)];
  });
}

/** Null: it can be read. */
function judge(
  given: { profile: string; name: string; source: SecretSource; engineIsLive: boolean },
  places: SecretPlaces,
): Check | null {
  const { profile, name, source, engineIsLive } = given;
  const title = `secrets of ${profile}`;
  try {
    resolveProfileSecrets({ profile, secrets: { [name]: source } }, places);
    return null;
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    if (error.code !== "launch_failed") return problem(title, error.message, null);
    if ("file_path" in source) return problem(title, error.message, `let the engine's user read ${source.file_path}`);
    if (!("env_var" in source) || !engineIsLive) return problem(title, error.message, null);
    // The engine has an environment of its own.
    const what = `whether the engine that leads has the variable ${source.env_var}, from which ${name} comes: it is not set here`;
    return unknown(title, what, `a run without it fails as launch_failed; else start the engine with it`);
  }
}
