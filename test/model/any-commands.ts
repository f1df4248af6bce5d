/** Commands at random: weighted as a busy queue sees them, or as epics do. Most gates are open most of the time. */
import fc from "fast-check";
import type { QueueCommand } from "./command.ts";
import * as engine from "./engine-commands.ts";
import * as epics from "./epic-commands.ts";
import * as gates from "./gate-commands.ts";
import * as inserter from "./inserter-commands.ts";
import type { NewTask } from "./inserter-commands.ts";
import type { Child, EpicLimits } from "./model.ts";
import * as operator from "./operator-commands.ts";
import type { Edit } from "./operator-commands.ts";
import * as settling from "./settle-commands.ts";
import type { SettleArguments, SettleKind } from "./settle-commands.ts";
import { keepWork, rescheduleToContinue } from "./work-commands.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const index = fc.nat(1000);
const addressee = fc.constantFrom("a", "a", "b", "c", "d", "second-1", "second-2", "lead-1", "project-mgr-x", "blue");
const repoUrl = fc.constantFrom(null, "https://host/big.git", "https://host/big/", "https://host/small.git");
const ageMs = fc.oneof(fc.constant(0), fc.constantFrom(1, SECOND_MS, MINUTE_MS), fc.nat(10 * MINUTE_MS));
const limit = fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 8, 8, 8);
const pauseMs = fc.constantFrom(0, 3 * SECOND_MS, MINUTE_MS);
const seldomTrue = fc.constantFrom(true, false, false, false, false);
const mostlyTrue = seldomTrue.map((seldom) => !seldom);
const seldomProfile = fc.constantFrom("human", "second", "green", ...nulls(7));
const newTask: fc.Arbitrary<NewTask> = fc.record({ addressee, repoUrl, ageMs, random: fc.nat(0xffff_ffff) });
const batch = fc.array(newTask, { minLength: 1, maxLength: 5 });
const edit = fc.constantFrom(...(Object.keys(operator.EDITS) as Edit[]));
const among = fc.constantFrom("heads" as const, "running" as const, "any" as const);
const capacity = fc.constantFrom(0, 1, 1, 2, 2, 3);
const path = fc.constantFrom("src", "src/a", "./src//a/", "src/*.ts", "docs", "docs/x.md", "srcs", ".", "*");
const paths = fc.option(fc.array(path, { maxLength: 2 }));
const cents = fc.constantFrom(0, 0, 10, 100, 300);

const child: fc.Arbitrary<Omit<Child, "prompt">> = fc.record({
  addressee: fc.constantFrom("a", "a", "a", "b", "b", "c", "d", "second-1", "project-mgr-x", "project-mgr-y", "blue"),
  kind: fc.constantFrom(null, null, null, null, "question" as const, "merge" as const),
  step: fc.constantFrom(null, null, "1"),
  together: fc.boolean(),
  paths: fc.constantFrom(null, null, null, ["src"], ["src/a", "docs"]),
});

/** Where there are no children, most runs have none. */
function settled(kinds: readonly SettleKind[], mostChildren: number): fc.Arbitrary<SettleArguments> {
  return fc.record({
    run: index,
    kind: fc.constantFrom(...kinds),
    pauseMs,
    jobEnded: mostlyTrue,
    cents,
    tokens: fc.constantFrom(0, 100, 1000),
    children: fc.oneof(fc.constant([]), fc.array(child, { maxLength: mostChildren })),
    finish: fc.constantFrom(true, false, ...nulls(38)),
    warnedMs: fc.constantFrom(MINUTE_MS, ...nulls(5)),
  });
}

const BUSY: readonly SettleKind[] = ["success", "success", "final", "stopped", "infrastructure", "usage_limit"];
const GOING_ON: readonly SettleKind[] = [
  ...times(5, "success" as const),
  "final",
  "final",
  "stopped",
  "infrastructure",
];

/** Limits that are met soon. */
const limits: fc.Arbitrary<Partial<EpicLimits>> = fc.record(
  {
    tasks: fc.integer({ min: 1, max: 6 }),
    tasksPerRun: fc.integer({ min: 1, max: 3 }),
    depth: fc.integer({ min: 1, max: 2 }),
    failuresInARow: fc.integer({ min: 1, max: 3 }),
    runs: fc.integer({ min: 2, max: 12 }),
    liveRuns: fc.integer({ min: 1, max: 4 }),
    tokens: fc.constantFrom(null, 3000),
    cents: fc.constantFrom(null, 500),
    wallMs: fc.constantFrom(MINUTE_MS, 5 * MINUTE_MS, HOUR_MS),
  },
  { requiredKeys: [] },
);
const fewLimits = fc.oneof(fc.constant({}), limits);
const green = fc.constantFrom("project-mgr-x", "project-mgr-x", "project-mgr-y");
const filed = fc.record({
  addressee: green,
  repoUrl: fc.constantFrom(null, "https://host/small.git"),
  limits: fewLimits,
});

const edits = fc.record({ edit, among, task: index, addressee, repoUrl, ageMs }).map(operator.editTask);
const deletes = fc
  .record({
    edit: fc.constant("delete" as const),
    among: fc.constantFrom("last" as const, "heads" as const),
    task: index,
    addressee,
    repoUrl,
    ageMs,
  })
  .map(operator.editTask);
const joins = fc.record({ task: index, epic: index }).map(epics.joinEpic);
const waits = fc
  .record({ ms: fc.constantFrom(0, 1, SECOND_MS, 10 * SECOND_MS, 2 * MINUTE_MS), beats: mostlyTrue })
  .map(engine.wait);
const waitsLong = fc
  .record({ ms: fc.constantFrom(2 * MINUTE_MS, 13 * HOUR_MS), beats: fc.constant(true) })
  .map(engine.wait);

const setsAddressee = fc
  .record({ addressee, set: fc.option(fc.record({ capacity, profile: seldomProfile, paused: seldomTrue })) })
  .map(operator.setAddressee);

const setsCredential = fc
  .record({
    name: fc.constantFrom("default", "second"),
    blockedMs: fc.constantFrom(-1, 0, MINUTE_MS, ...nulls(4)),
    problem: fc.constantFrom("not set", ...nulls(6)),
    mostLive: fc.constantFrom(0, 1, 2, 3, ...nulls(6)),
    keepReserve: mostlyTrue,
  })
  .map(gates.setCredential);
const setsProject = fc
  .option(
    fc.record({
      paused: seldomTrue,
      mostLive: fc.constantFrom(null, null, 0, 1, 1, 2, 3),
      dailyCents: fc.constantFrom(null, null, 100, 500),
    }),
  )
  .map(gates.setProject);

const COMMON: readonly fc.Arbitrary<QueueCommand>[] = [
  ...times(8, batch.map(inserter.insert)),
  ...times(12, fc.constant(null).map(engine.claimAll)),
  ...times(6, fc.integer({ min: 1, max: 3 }).map(engine.claim)),
  ...times(20, settled(BUSY, 1).map(settling.settle)),
  ...times(8, edits),
  ...times(4, joins),
  ...times(4, fc.record({ task: index, paths }).map(gates.declarePaths)),
];

const OF_EPICS: readonly fc.Arbitrary<QueueCommand>[] = [
  filed.map(epics.fileEpic),
  fc.record({ epic: index, limits }).map(epics.setEpicLimits),
  index.map(epics.stopEpic),
  fc.record({ task: index, success: mostlyTrue }).map(epics.answer),
  fc.record({ task: index, success: fc.boolean() }).map(epics.completeByHand),
  fc.constant(null).map(epics.endOverdue),
  fc.constant(null).map(epics.wakeIdle),
];

const RARE: readonly fc.Arbitrary<QueueCommand>[] = [
  ...OF_EPICS,
  fc.record({ tasks: batch, rollback: seldomTrue }).map(inserter.openOrCommit),
  fc.array(settled(BUSY, 2), { minLength: 2, maxLength: 4 }).map(settling.settleSeveral),
  index.map(settling.settleAgain),
  limit.map(engine.restartEngine),
  limit.map(engine.setLimit),
  fc.constant(null).map(engine.beat),
  waits,
  waitsLong,
  setsAddressee,
  fc.record({ addressee, paused: fc.boolean() }).map(operator.pauseOrResume),
  fc.record({ addressee: fc.constant(null), paused: seldomTrue }).map(operator.pauseOrResume),
  setsCredential,
  setsProject,
  fc.constantFrom(200, 800, ...nulls(2)).map(gates.setDailyCost),
  fc.record({ task: index, epic: fc.option(index) }).map(epics.joinEpic),
  settled(["paid"], 1).map(settling.settle),
  ...times(3, index.map(keepWork)),
  index.map(rescheduleToContinue),
  fc
    .record({
      name: fc.constantFrom("red", "green", "second"),
      credential: fc.constantFrom("default", "second"),
      mayCreate: fc.boolean(),
    })
    .map(gates.setProfile),
];

const WITH_EPICS: readonly fc.Arbitrary<QueueCommand>[] = [
  ...times(30, fc.constant(null).map(engine.claimAll)),
  ...times(40, settled(GOING_ON, 3).map(settling.settle)),
  ...times(8, fc.array(settled(GOING_ON, 3), { minLength: 2, maxLength: 4 }).map(settling.settleSeveral)),
  ...times(5, filed.map(epics.fileEpic)),
  ...times(5, fc.record({ task: index, success: mostlyTrue }).map(epics.answer)),
  ...times(8, edits),
  ...times(3, deletes),
  ...OF_EPICS,
  ...times(3, joins),
  ...times(2, batch.map(inserter.insert)),
  waits,
  waitsLong,
  index.map(settling.settleAgain),
  setsAddressee,
];

/** Many addressees in two repositories, on the same paths and at a cost. */
const ON_PATHS: readonly fc.Arbitrary<QueueCommand>[] = [
  ...times(
    4,
    fc
      .array(
        fc.record({
          addressee: fc.integer({ min: 1, max: 9 }).map((number) => `w-${number}`),
          repoUrl: fc.constantFrom("https://host/big.git", "https://host/big/", "https://host/small.git"),
          ageMs: fc.constant(0),
          random: fc.nat(0xffff_ffff),
          paths,
        }),
        { minLength: 1, maxLength: 4 },
      )
      .map(inserter.insertWithPaths),
  ),
  ...times(6, fc.constant(null).map(engine.claimAll)),
  ...times(2, fc.integer({ min: 1, max: 3 }).map(engine.claim)),
  ...times(7, settled([...GOING_ON, ...GOING_ON, "paid"], 0).map(settling.settle)),
  fc.record({ task: index, paths }).map(gates.declarePaths),
  edits,
  waitsLong,
  setsProject,
  fc.constantFrom(200, 800, ...nulls(2)).map(gates.setDailyCost),
  setsCredential,
  setsCredential,
];

/** Sequences of up to `maxCommands`, most of them long: nothing happens in a short one. */
export function anyCommands(maxCommands: number): fc.Arbitrary<Iterable<QueueCommand>> {
  const commands = [...COMMON, ...RARE];
  return fc.noBias(fc.commands(commands, { maxCommands, size: "max" }));
}

/** The same for what gates by paths, costs and reserves. */
export function anyGateCommands(maxCommands: number): fc.Arbitrary<Iterable<QueueCommand>> {
  return fc.noBias(fc.commands([...ON_PATHS], { maxCommands, size: "max" }));
}

/** The same for epics: Greens plan, Reds end, people answer and interfere. */
export function anyEpicCommands(maxCommands: number): fc.Arbitrary<Iterable<QueueCommand>> {
  return fc.noBias(fc.commands([...WITH_EPICS], { maxCommands, size: "max" }));
}

function times<T>(count: number, one: T): T[] {
  return Array<T>(count).fill(one);
}

function nulls(count: number): null[] {
  return Array<null>(count).fill(null);
}
