/** The log of one job, for those who launch nothing and watch nothing. */
import type { Logger } from "pino";
import type { LogPiece, LogReading } from "../launcher.ts";
import { openApi } from "./api.ts";
import { readRunLog } from "./read-log.ts";
import { createRunPicture } from "./run-picture.ts";

export interface WhereJobsAre {
  kubeconfig?: string | undefined;
  namespace?: string | undefined;
  instance: string;
  log: Logger;
}

/** Somebody looks at it. */
const POLL_MS = 500;

/** As `Launcher.logs`. @throws ApiError where the cluster cannot be asked */
export async function* readJobLog(where: WhereJobsAre, jobName: string, reading: LogReading): AsyncGenerator<LogPiece> {
  const api = await openApi(where);
  try {
    const picture = createRunPicture({ api, instance: where.instance, log: where.log });
    // While following, a cluster that does not answer is waited for: one that never did is said.
    await picture.run(jobName);
    yield* readRunLog({ api, look: () => picture.run(jobName), pollMs: POLL_MS, ...reading });
  } finally {
    await api.close();
  }
}
