/** The Secrets that profiles give their agents: are they there, with the right keys. Values are neither kept nor shown. */
import { ok, problem, unknown, type Check } from "../../../check.ts";
import { LaunchError, type SecretSource } from "../../launcher.ts";
import type { Api } from "../api.ts";
import { demandSecret } from "../run-plan.ts";
import type { ProfileToCheck } from "./dry-run.ts";
import { keysOf, type Keys } from "./secret-keys.ts";

/**
 * A check for each profile whose secrets are all well, else for each secret that is not.
 * @param ofPods the Secret that no agent may have
 * @throws ApiError
 */
export async function checkProfileSecrets(
  api: Api,
  profiles: readonly ProfileToCheck[],
  ofPods: string,
): Promise<Check[]> {
  const asked = new Map<string, Promise<Keys>>();
  const keys = (secret: string): Promise<Keys> => {
    const answer = asked.get(secret) ?? keysOf(api, secret);
    asked.set(secret, answer);
    return answer;
  };
  const checks: Check[] = [];
  for (const { name: profile, secrets = {} } of profiles) {
    const title = `secrets of ${profile}`;
    const names = Object.keys(secrets);
    const judged = Object.entries(secrets).map(([name, source]) =>
      judge(source, {
        title,
        whose: `the secret ${name} of the profile "${profile}"`,
        namespace: api.namespace,
        ofPods,
        keys,
      }),
    );
    const wrong = (await Promise.all(judged)).filter((check) => check !== null);
    if (wrong.length > 0) checks.push(...wrong);
    else if (names.length > 0) checks.push(ok(title, `${names.join(", ")}: their Secrets have the keys`));
  }
  return checks;
}

interface Asked {
  title: string;
  whose: string;
  namespace: string;
  ofPods: string;
  keys: (secret: string) => Promise<Keys>;
}

/** Null: its pods find it. */
async function judge(source: SecretSource, { title, whose, namespace, ofPods, keys }: Asked): Promise<Check | null> {
  try {
    demandSecret(source, whose, ofPods);
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    return problem(title, error.message, null);
  }
  const { secret_name: secret, secret_key: key } = source;
  const found = await keys(secret);
  if (found === "forbidden") {
    const how = `with a login that may read it: kubectl --namespace ${namespace} describe secret ${secret}`;
    return unknown(title, `whether ${whose} is there: this login may not read the Secret ${secret}`, how);
  }
  if (found === "missing") {
    const mend = `kubectl --namespace ${namespace} create secret generic ${secret} --from-file=${key}=FILE`;
    return problem(title, `${whose} cannot be had: there is no Secret ${secret}`, mend);
  }
  if (found.includes(key)) return null;
  return problem(title, `${whose} cannot be had: the Secret ${secret} has no key "${key}"`, `add it in ${namespace}`);
}
