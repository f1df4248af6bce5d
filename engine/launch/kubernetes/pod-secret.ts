/**
 * The one Secret that checkout and publish of all runs take their values from: the database's address and the
 * half that all tokens share. The launcher keeps it right: it lies in the namespace where runs happen, and
 * nobody has to make it by hand.
 */
import { LaunchError } from "../launcher.ts";
import type { Api } from "./api.ts";
import { withPatience } from "./patience.ts";
import { POD_SECRET_KEYS, podSecretName } from "./launcher-settings.ts";

export interface PodSecret {
  /** Makes sure that it is there and right. @throws LaunchError with a sentence that holds no value of it */
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
      // Its text may hold anything that was in the request.
      const status = (error as { status?: number | null }).status ?? "no answer";
      throw new LaunchError("launch_failed", `The Secret ${name}, which pods need, could not be written (${status}).`);
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

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
