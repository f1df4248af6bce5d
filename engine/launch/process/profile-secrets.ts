/**
 * The values of a profile's secrets, from this machine: read anew for each run as the engine's user. They go from here
 * to the supervisor and nowhere else; problems are told in sentences that never hold them.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { sep } from "node:path";
import { LaunchError, type LaunchSpec, type SecretSource } from "../launcher.ts";

/** Linux takes 128 KiB for one variable. */
const MAX_BYTES = 65_536;

export interface SecretPlaces {
  dataDir: string;
  environment: NodeJS.ProcessEnv;
}

/**
 * By the agent's variable.
 * @throws LaunchError that names the variable: `pod_refused` where no repetition helps, `launch_failed` where the value
 * is not there (yet)
 */
export function resolveProfileSecrets(
  { profile, secrets }: Pick<LaunchSpec, "profile" | "secrets">,
  places: SecretPlaces,
): Record<string, string> {
  const found = Object.entries(secrets ?? {}).map(([name, source]): [string, string] => {
    const whose = `The secret ${name} of the profile "${profile ?? ""}"`;
    const value = valueOf(source, whose, places);
    if (value.includes("\0")) throw refused(`${whose} holds a zero byte, which no variable can.`);
    if (Buffer.byteLength(value) > MAX_BYTES) throw refused(`${whose} has more than 64 KiB.`);
    return [name, value];
  });
  return Object.fromEntries(found);
}

function valueOf(source: SecretSource, whose: string, { dataDir, environment }: SecretPlaces): string {
  if ("env_var" in source) {
    const value = environment[source.env_var];
    if (value) return value;
    const what = `${whose} is to come from the variable ${source.env_var}, which is not set: start the engine with it.`;
    throw new LaunchError("launch_failed", what);
  }
  if ("file_path" in source) return fromFile(source.file_path, whose, dataDir);
  throw refused(
    `${whose} lies in a Kubernetes Secret, and runs are processes here: set its env_var or file_path in profiles.secrets.`,
  );
}

/** Without the line break at its end. */
function fromFile(path: string, whose: string, dataDir: string): string {
  const text = read(path, whose, dataDir)?.replace(/\r?\n$/, "");
  if (text) return text;
  throw new LaunchError(
    "launch_failed",
    `${whose} is to come from ${path}, which is not there, empty or not readable.`,
  );
}

function read(path: string, whose: string, dataDir: string): string | null {
  try {
    const real = realpathSync(path);
    // Else whoever may write profiles had the key by which the engine makes the tokens of runs.
    if (real.startsWith(`${realpathSync(dataDir)}${sep}`)) {
      throw refused(`${whose} may not lie in the engine's data directory: move it elsewhere.`);
    }
    const stat = statSync(real);
    if (stat.size > MAX_BYTES) throw refused(`${whose} has more than 64 KiB.`);
    return stat.isFile() ? readFileSync(real, "utf8") : null;
  } catch (error) {
    if (error instanceof LaunchError) throw error;
    return null;
  }
}

function refused(sentence: string): LaunchError {
  return new LaunchError("pod_refused", sentence);
}
