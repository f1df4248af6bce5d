/** Who takes part, by the names that `--contestants` knows. The order is the order of the tables. */
import type { Contestant } from "../contestant.ts";
import { floor } from "./floor.ts";
import { graphileLocalQueue, graphilePlain } from "./graphile.ts";
import { myzelBare } from "./myzel-bare.ts";
import { myzel } from "./myzel.ts";
import { pgBossGroup, pgBossSingleton, pgBossStrictFifo } from "./pg-boss.ts";

export const CONTESTANTS: Readonly<Record<string, Contestant>> = {
  myzel,
  "myzel-sql": myzelBare,
  graphile: graphilePlain,
  "graphile-local": graphileLocalQueue,
  "pg-boss-singleton": pgBossSingleton,
  "pg-boss-fifo": pgBossStrictFifo,
  "pg-boss-group": pgBossGroup,
  floor,
};
