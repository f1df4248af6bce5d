/** Myzel as it runs: the whole engine in a process of its own, with a launcher whose jobs end at once. */
import pg from "pg";
import type { Box, Contestant } from "../contestant.ts";
import { startEngine } from "../engine.ts";
import type { Engine } from "../engine.ts";
import { asAdmin } from "../server.ts";
import { catchUp, feedMyzel, fillMyzel, leadBare, myzelLogins, prepareMyzel } from "./myzel-database.ts";

const LOOK_MS = 5;

export const myzel: Contestant = {
  name: "myzel",
  template: "myzel",
  prepare: prepareMyzel,
  open: async (cell) => {
    const logins = await myzelLogins(cell);
    const leader = await leadBare(logins.engine);
    await fillMyzel(leader, cell);
    await catchUp(leader, cell.url);
    await leader.close();
    const feeder = new pg.Client({ connectionString: logins.operator });
    await feeder.connect();
    let onSettled = (_count: number) => {};
    await pause(cell.url, true);
    const engine = await startEngine({
      url: logins.engine,
      cacheDir: cell.server.dataDir,
      held: cell.shape.gate === "busy" ? cell.shape.held(cell.pending) : 0,
      onSettled: (count) => onSettled(count),
    });
    return {
      feed: (range) => feedMyzel(feeder, range),
      run: async (box) => {
        onSettled = box.settled;
        await pause(cell.url, false);
        await untilAborted(engine, box);
      },
      close: async () => {
        await feeder.end();
        await engine.stop();
      },
    };
  },
};

async function pause(url: string, paused: boolean): Promise<void> {
  await asAdmin(url, (admin) => admin.query("update engine_state set paused = $1", [paused]));
}

async function untilAborted(engine: Engine, box: Box): Promise<void> {
  while (!box.signal.aborted) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  await engine.stop();
}
