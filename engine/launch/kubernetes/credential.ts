/**
 * Where a credential's secret lies in the cluster, and whether it is there. Asks for it and looks at the
 * names of its keys; no value is kept, logged or returned.
 */
import type { Logger } from "pino";
import type { CredentialSource } from "../launcher.ts";
import type { Api } from "./api.ts";
import { isStatus } from "./api-error.ts";

export interface SecretKey {
  name: string;
  key: string;
}

/** The Secret and key of a credential, or a sentence that says what to do. */
export function claudeSecretOf(
  { name, env_var, file_path, secret_name, secret_key }: CredentialSource,
  fallback: SecretKey,
): SecretKey | { problem: string } {
  if (secret_name !== null && secret_key !== null) return { name: secret_name, key: secret_key };
  if (env_var === null && file_path === null && name === "default") return fallback;
  const where = env_var !== null ? "a variable" : file_path !== null ? "a file" : "nowhere";
  return {
    problem: `The credential "${name}" lies in ${where}, and runs are pods here: set its secret_name and secret_key in the table credentials.`,
  };
}

/** Null if it can be used, or if we may not look. @throws ApiError where nobody answers */
export async function secretProblem(api: Api, { name, key }: SecretKey, log: Logger): Promise<string | null> {
  try {
    const secret = (await api.request({ path: `/api/v1/namespaces/${api.namespace}/secrets/${name}` })) as {
      data?: Record<string, string>;
    };
    if (secret.data?.[key]) return null;
    return `The Secret ${name} in the namespace ${api.namespace} has no key "${key}": add it.`;
  } catch (error) {
    if (isStatus(error, 404)) {
      return missingClaudeSecret(api.namespace, { name, key });
    }
    if (!isStatus(error, 403)) throw error;
    log.debug({ secret: name }, "the engine may not look whether a Secret is there");
    return null;
  }
}

/** The token comes by a pipe, so that it is on no command line. */
export function missingClaudeSecret(namespace: string, { name, key }: SecretKey): string {
  const make = `read -rs TOKEN && printf %s "$TOKEN" | kubectl --namespace ${namespace} create secret generic ${name} --from-file=${key}=/dev/stdin`;
  return `There is no Secret ${name} in the namespace ${namespace}: \`claude setup-token\` makes a token; paste it into \`${make}\`.`;
}
