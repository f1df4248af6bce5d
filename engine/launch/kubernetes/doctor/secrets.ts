/** The Secrets that runs take from: are they there, with the right keys. Values are neither kept nor shown. */
import { ok, problem, unknown, type Check } from "../../../check.ts";
import type { CredentialSource } from "../../launcher.ts";
import type { Api } from "../api.ts";
import { claudeSecretOf, missingClaudeSecret } from "../credential.ts";
import type { GitSecretRule } from "../git-secrets.ts";
import { POD_SECRET_KEYS, podSecretName, type KubernetesLauncherSettings } from "../launcher-settings.ts";
import { may } from "./account.ts";
import { keysByPatch, keysOf } from "./secret-keys.ts";

/** The Claude login of one credential. @throws ApiError */
export async function checkCredential(
  api: Api,
  credential: CredentialSource,
  fallback: KubernetesLauncherSettings["claudeSecret"],
): Promise<Check> {
  const name = `claude login ${credential.name}`;
  const secret = claudeSecretOf(credential, fallback);
  if ("problem" in secret) return problem(name, secret.problem, null);
  const keys = await keysOf(api, secret.name);
  if (keys === "missing") return problem(name, missingClaudeSecret(api.namespace, secret), null);
  if (keys === "forbidden") {
    const mend = `add ${secret.name} to resourceNames in the engine's Role (deploy/base/service-account.yaml)`;
    return unknown(name, `whether the Secret ${secret.name} is there: this login may not read it`, mend);
  }
  if (keys.includes(secret.key)) return ok(name, `the Secret ${secret.name} has the key "${secret.key}"`);
  return problem(name, `the Secret ${secret.name} has no key "${secret.key}"`, `add it in ${api.namespace}`);
}

/** The Secret that the launcher keeps right by itself. @throws ApiError */
export async function checkPodSecret(api: Api, instance: string): Promise<Check> {
  const title = "pod login";
  const name = podSecretName(instance);
  const keys = await keysByPatch(api, name);
  if (keys === "forbidden") {
    return problem(
      title,
      `this login may not write the Secret ${name}, which runs take the database's address from`,
      null,
    );
  }
  if (keys === "missing") {
    if (await may(api, { verb: "create", group: "", resource: "secrets" })) {
      return ok(title, `the Secret ${name} is made at the first launch`);
    }
    const mend = `kubectl --namespace ${api.namespace} create secret generic ${name} (empty: the engine fills it)`;
    return problem(title, `there is no Secret ${name}, and this login may not make it`, mend);
  }
  const wanted = Object.values(POD_SECRET_KEYS);
  if (wanted.every((key) => keys.includes(key)))
    return ok(title, `the Secret ${name} has the keys ${wanted.join(", ")}`);
  return ok(title, `the Secret ${name} is there; its values are written at the first launch`);
}

/** What git over HTTPS and over SSH needs of a Secret. */
const GIT_KEYS = { https: ["password"], ssh: ["ssh-privatekey", "known_hosts"] } as const;

/** @throws ApiError */
export async function checkGitSecrets(api: Api, rules: readonly GitSecretRule[]): Promise<Check[]> {
  const checks: Check[] = [];
  const unreadable: string[] = [];
  for (const { secret, repositories } of rules) {
    const name = `git login ${secret}`;
    const wanted = GIT_KEYS[/^https?:/i.test(repositories) ? "https" : "ssh"];
    const keys = await keysOf(api, secret);
    if (keys === "forbidden") unreadable.push(secret);
    else if (keys === "missing") {
      const mend = `make it in ${api.namespace} with the keys ${wanted.join(" and ")}: see deploy/README.md, "Logins for git"`;
      checks.push(problem(name, `there is no such Secret; runs of ${repositories} need it`, mend));
    } else {
      const missing = wanted.filter((key) => !keys.includes(key));
      if (missing.length === 0) checks.push(ok(name, `has the keys ${wanted.join(", ")}, for ${repositories}`));
      else checks.push(problem(name, `has no key ${missing.join(", ")}; runs of ${repositories} need it`, "add it"));
    }
  }
  if (unreadable.length > 0) {
    const names = [...new Set(unreadable)];
    const how = `with a login that may read them: kubectl --namespace ${api.namespace} get secrets ${names.join(" ")}`;
    checks.push(unknown("git logins", `whether ${names.join(", ")} are there: this login may not read them`, how));
  }
  return checks;
}
