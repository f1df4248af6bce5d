/** The log of one job, for those who launch nothing and watch nothing. */
import type { Logger } from "pino";
import { openApi } from "./api.ts";
import { readRunLog } from "./read-log.ts";
import { createRunPicture } from "./run-picture.ts";

export interface WhereJobsAre {
  kubeconfig?: string | undefined;
  namespace?: string | undefined;
  instance: string;
  log: Logger;
}

/** As `Launcher.logs`. @throws ApiError where the cluster cannot be asked */
export async function* readJobLog(
  where: WhereJobsAre,
  jobName: string,
  options: { follow: boolean; signal?: AbortSignal },
): AsyncGenerator<string> {
  const api = await openApi(where);
  try {
    const picture = createRunPicture({ api, instance: where.instance, log: where.log });
    yield* readRunLog({ api, look: () => picture.run(jobName), ...options });
  } finally {
    await api.close();
  }
}
