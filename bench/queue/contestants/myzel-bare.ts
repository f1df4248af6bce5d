/**
 * Myzel without its loops: claim a batch, settle all of it, again. What SQL and round trips alone bound.
 * Uses the store's functions, so it follows whatever they become.
 */
import pg from "pg";
import { jobEnd } from "../../../engine/domain/job.ts";
import { settlementOf } from "../../../engine/domain/outcome.ts";
import { settleRuns } from "../../../engine/store/settle.ts";
import type { Contestant } from "../contestant.ts";
import { doneReport } from "../../../test/support/instant-launcher.ts";
import { BATCH, catchUp, claim, feedMyzel, fillMyzel, leadBare, myzelLogins, prepareMyzel } from "./myzel-database.ts";

const SETTLEMENT = settlementOf(
  { retries: 0, stopReason: null, report: null },
  jobEnd({ spooledReport: doneReport }),
  new Date(),
  0,
);

export const myzelBare: Contestant = {
  name: "myzel, store functions only",
  template: "myzel",
  prepare: prepareMyzel,
  open: async (cell) => {
    const logins = await myzelLogins(cell);
    const leader = await leadBare(logins.engine);
    const feeder = new pg.Client({ connectionString: logins.operator });
    await feeder.connect();
    await fillMyzel(leader, cell);
    await catchUp(leader, cell.url);
    return {
      feed: (range) => feedMyzel(feeder, range),
      run: async (box) => {
        while (!box.signal.aborted) {
          const begin = performance.now();
          const { to_launch, drained } = await claim(leader, { host: "bench", limit: BATCH });
          box.claimed(performance.now() - begin, to_launch.length);
          if (to_launch.length === 0 && drained === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          await settleRuns(
            leader.database,
            leader.epoch,
            to_launch.map((run) => ({ runId: run.run_id, settlement: SETTLEMENT, podName: null, jobEnded: true })),
          );
          box.settled(to_launch.length);
        }
      },
      close: async () => {
        await feeder.end();
        await leader.close();
      },
    };
  },
};
