/** Commands at random, weighted as a busy queue sees them: most gates are open most of the time. */
import fc from "fast-check";
import type { QueueCommand } from "./command.ts";
import * as engine from "./engine-commands.ts";
import type { SettleKind } from "./engine-commands.ts";
import * as inserter from "./inserter-commands.ts";
import type { NewTask } from "./inserter-commands.ts";
import { EPICS } from "./model.ts";
import * as operator from "./operator-commands.ts";
import type { Edit } from "./operator-commands.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

const index = fc.nat(1000);
const addressee = fc.constantFrom("a", "a", "b", "c", "d", "second-1", "second-2", "project-mgr-x", "blue");
const repoUrl = fc.constantFrom(null, "https://host/big.git", "https://host/small.git");
const ageMs = fc.oneof(fc.constant(0), fc.constantFrom(1, SECOND_MS, MINUTE_MS), fc.nat(10 * MINUTE_MS));
const limit = fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 8, 8, 8);
const pauseMs = fc.constantFrom(0, 3 * SECOND_MS, MINUTE_MS);
const seldomTrue = fc.constantFrom(true, false, false, false, false);
const seldom = fc.constantFrom<"human" | "second" | "green" | null>("human", "second", "green", ...nulls(7));
const newTask: fc.Arbitrary<NewTask> = fc.record({ addressee, repoUrl, ageMs, random: fc.nat(0xffff_ffff) });
const batch = fc.array(newTask, { minLength: 1, maxLength: 5 });
const kind = fc.constantFrom<SettleKind>("success", "success", "final", "stopped", "infrastructure", "usage_limit");
const edit = fc.constantFrom(...(Object.keys(operator.EDITS) as Edit[]));
const among = fc.constantFrom("heads" as const, "running" as const, "any" as const);
const capacity = fc.constantFrom(0, 1, 1, 2, 2, 3);
const beats = seldomTrue.map((silent) => !silent);

const COMMON: readonly fc.Arbitrary<QueueCommand>[] = [
  batch.map(inserter.insert),
  fc.constant(null).map(engine.claimAll),
  fc.integer({ min: 1, max: 3 }).map(engine.claim),
  fc.record({ run: index, kind, pauseMs }).map(engine.settle),
  fc.record({ edit, among, task: index, addressee, repoUrl, ageMs }).map(operator.editTask),
  fc.record({ task: index, epic: fc.constantFrom(...EPICS) }).map(operator.joinEpic),
];

const RARE: readonly fc.Arbitrary<QueueCommand>[] = [
  fc.record({ tasks: batch, rollback: seldomTrue }).map(inserter.openOrCommit),
  index.map(engine.settleAgain),
  limit.map(engine.restartEngine),
  limit.map(engine.setLimit),
  fc.constant(null).map(engine.beat),
  fc.record({ ms: fc.constantFrom(0, 1, SECOND_MS, 10 * SECOND_MS, 2 * MINUTE_MS), beats }).map(engine.wait),
  fc.record({ ms: fc.constant(2 * MINUTE_MS), beats: fc.constant(true) }).map(engine.wait),
  fc
    .record({ addressee, set: fc.option(fc.record({ capacity, profile: seldom, paused: seldomTrue })) })
    .map(operator.setAddressee),
  fc.record({ addressee, paused: fc.boolean() }).map(operator.pauseOrResume),
  fc.record({ addressee: fc.constant(null), paused: seldomTrue }).map(operator.pauseOrResume),
  fc
    .record({
      name: fc.constantFrom("default", "second"),
      blockedMs: fc.constantFrom(-1, 0, MINUTE_MS, ...nulls(4)),
      problem: fc.constantFrom("not set", ...nulls(6)),
      mostLive: fc.constantFrom(0, 1, 2, 3, ...nulls(6)),
    })
    .map(operator.setCredential),
  fc
    .option(fc.record({ paused: seldomTrue, mostLive: fc.constantFrom(null, 0, 1, 1, 1, 2, 3) }))
    .map(operator.setProject),
  fc.record({ epic: fc.constantFrom(...EPICS), mostLive: fc.integer({ min: 1, max: 4 }) }).map(operator.setEpic),
  fc.record({ task: index, epic: fc.constantFrom(null, ...EPICS, ...EPICS) }).map(operator.joinEpic),
  fc
    .record({ name: fc.constantFrom("red", "green", "second"), credential: fc.constantFrom("default", "second") })
    .map(operator.setProfile),
];

/** Sequences of up to `maxCommands`, most of them long: nothing happens in a short one. */
export function anyCommands(maxCommands: number): fc.Arbitrary<Iterable<QueueCommand>> {
  const commands = [...COMMON, ...COMMON, ...COMMON, ...COMMON, ...RARE];
  return fc.noBias(fc.commands(commands, { maxCommands, size: "max" }));
}

function nulls(count: number): null[] {
  return Array<null>(count).fill(null);
}
