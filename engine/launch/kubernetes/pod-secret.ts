/**
 * The one Secret that checkout and publish of all runs take their values from: the database's address and the
 * half that all tokens share. The launcher keeps it right: it lies in the namespace where runs happen, and
 * nobody has to make it by hand.
 */
import { LaunchError } from "../launcher.ts";
import type { Api } from "./api.ts";
import { ApiError, isBusy } from "./api-error.ts";
import { withPatience } from "./patience.ts";
import { POD_SECRET_KEYS, podSecretName } from "./launcher-settings.ts";

export interface PodSecret {
  /** Makes sure that it is there and right. @throws LaunchError, or Error without an answer, with a sentence that holds no value of it */
  ensure(tokenHalf: string): Promise<void>;
}

/** As for a run's Job: launches wait for it. */
const PATIENCE = { limitMs: 5_000, busyLimitMs: 60_000 };

/** Somebody may delete or change it: then launches fail for at most so long. */
const RIGHT_FOR_MS = 30_000;

export function createPodSecret(api: Api, settings: { instance: string; podDatabaseUrl: string }): PodSecret {
  const name = podSecretName(settings.instance);
  let ensured: Promise<void> | null = null;
  let rightUntil = 0;

  const apply = async (tokenHalf: string): Promise<void> => {
    const data = {
      [POD_SECRET_KEYS.databaseUrl]: base64(settings.podDatabaseUrl),
      [POD_SECRET_KEYS.tokenHalf]: base64(tokenHalf),
    };
    try {
      await withPatience(PATIENCE, () =>
        api.request({
          method: "PATCH",
          path: `/api/v1/namespaces/${api.namespace}/secrets/${name}`,
          query: { fieldManager: "myzel", force: true },
          contentType: "application/apply-patch+yaml",
          body: { apiVersion: "v1", kind: "Secret", metadata: { name }, type: "Opaque", data },
        }),
      );
    } catch (error) {
      throw withoutValues(error, name);
    }
    rightUntil = performance.now() + RIGHT_FOR_MS;
  };

  return {
    ensure: async (tokenHalf) => {
      if (performance.now() < rightUntil) return;
      ensured ??= apply(tokenHalf).finally(() => {
        ensured = null;
      });
      await ensured;
    },
  };
}

/** What the server says of it may hold anything that was in the request. Without an answer the launch is made again. */
function withoutValues(error: unknown, name: string): Error {
  const answer = error instanceof ApiError ? error : null;
  const how = answer === null || answer.status === null ? "no answer" : `${answer.status} ${answer.reason}`;
  const sentence = `The Secret ${name}, which pods need, could not be written (${how.trim()}).`;
  return answer === null || isBusy(answer) ? new Error(sentence) : new LaunchError("launch_failed", sentence);
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
