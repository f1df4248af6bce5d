/** What goes wrong with engines, and between them and the API server. */
import { LABELS } from "../../../engine/launch/kubernetes/labels.ts";
import type { FaultyEngine } from "../../fault/engine-fleet.ts";
import type { ApiProxy } from "../launcher-proxy.ts";
import { lasting, unlessAway, within, type Fault, type Victims } from "./victims.ts";

/** How long a moment is waited for that is there only while something is being launched. */
const MOMENT_MS = 4_000;
/** Longer than a successor may need to replace a silent leader (15 s). */
const TAKEOVER_MS = 25_000;

export const ENGINE_FAULTS = {
  kill_leader: async (victims) => await killLeader(victims),
  kill_all_engines: async (victims) => {
    await killAndRestart(victims, victims.fleet.engines);
    return "killed";
  },
  kill_between_commit_and_create: async (victims) => await killBetweenCommitAndCreate(victims),
  kill_between_create_and_watch: async (victims) => await killBetweenCreateAndWatch(victims),
  cut_watch: async (victims) => {
    await leaderOf(victims);
    const proxies = victims.fleet.engines.map(({ proxy }) => proxy).filter(({ connections }) => connections > 0);
    for (const proxy of proxies) proxy.cut();
    return proxies.length > 0 ? "cut" : null;
  },
  half_open: async (victims) => {
    const proxy = (await leaderOf(victims))?.proxy;
    if (proxy === undefined || proxy.connections === 0) return null;
    proxy.freeze();
    await lasting(victims, victims.random.between(500, 3_000));
    proxy.cut();
    return "silent, then cut";
  },
  pause_leader: async (victims) => {
    return await paused(victims, async (epoch) => {
      await lasting(victims, victims.random.between(200, 2_000));
      return victims.fleet.newestEpoch() > epoch ? "woke after its successor" : "woke";
    });
  },
} satisfies Record<string, Fault>;

export const LONG_ENGINE_FAULTS = {
  /** Two engines at once that both believe that they lead. */
  pause_leader_until_replaced: async (victims) => {
    return await paused(victims, async (epoch) => {
      const replaced = await within(victims, TAKEOVER_MS, async () =>
        victims.fleet.newestEpoch() > epoch ? true : null,
      );
      return replaced === null ? "woke too early" : "woke after its successor";
    });
  },
  /** Nothing tells the engine that its connections are dead. */
  half_open_for_good: async (victims) => {
    const proxy = (await leaderOf(victims))?.proxy;
    if (proxy === undefined || proxy.connections === 0) return null;
    proxy.freeze();
    return "silent";
  },
} satisfies Record<string, Fault>;

async function killLeader(victims: Victims): Promise<string | null> {
  const leader = await leaderOf(victims);
  if (leader === null) return null;
  await killAndRestart(victims, [leader]);
  return "killed";
}

/** The API server cannot be reached: what is claimed has no Job. */
async function killBetweenCommitAndCreate(victims: Victims): Promise<string | null> {
  const leader = await leaderOf(victims);
  if (leader === null) return null;
  leader.proxy.block();
  try {
    await within(victims, MOMENT_MS, async () => ((await withoutNote(victims, "no Job")).length > 0 ? true : null));
    await victims.fleet.end(leader, "SIGKILL");
    const claimed = await unlessAway(() => withoutNote(victims, "no Job"));
    return (claimed ?? []).length > 0 ? "killed, runs without a Job" : null;
  } finally {
    leader.proxy.restore();
    victims.fleet.start(leader);
  }
}

/** Answers are lost: there is a Job that its engine never heard of. */
async function killBetweenCreateAndWatch(victims: Victims): Promise<string | null> {
  const leader = await leaderOf(victims);
  if (leader === null) return null;
  leader.proxy.muffle();
  try {
    await within(victims, MOMENT_MS, async () => ((await withoutNote(victims, "a Job")).length > 0 ? true : null));
    await victims.fleet.end(leader, "SIGKILL");
    const made = await unlessAway(() => withoutNote(victims, "a Job"));
    return (made ?? []).length > 0 ? "killed, Jobs that nobody noted" : null;
  } finally {
    leader.proxy.cut();
    leader.proxy.restore();
    victims.fleet.start(leader);
  }
}

/** Live runs whose launch is not noted, and that have, or have not, a Job. */
async function withoutNote(victims: Victims, which: "a Job" | "no Job"): Promise<string[]> {
  const { admin, clients, namespace } = victims;
  const { rows } = await admin.query<{ id: string }>(
    "select id from runs where finished_at is null and launched_at is null",
  );
  if (rows.length === 0) return [];
  const { items } = await clients.batch.listNamespacedJob({ namespace });
  const withJob = new Set(items.map(({ metadata }) => metadata?.labels?.[LABELS.run]));
  return rows.map(({ id }) => id).filter((id) => withJob.has(id) === (which === "a Job"));
}

/** Waits for one while a successor is on its way. */
async function leaderOf(victims: Victims): Promise<FaultyEngine<ApiProxy> | null> {
  return await within(victims, TAKEOVER_MS, async () => victims.fleet.leader());
}

async function killAndRestart(victims: Victims, engines: readonly FaultyEngine<ApiProxy>[]): Promise<void> {
  await Promise.all(engines.map((engine) => victims.fleet.end(engine, "SIGKILL")));
  await lasting(victims, victims.random.between(0, 1_500));
  for (const engine of engines) victims.fleet.start(engine);
}

/** Pauses the leader; `meanwhile` is told the epoch that it leads in. */
async function paused(victims: Victims, meanwhile: (epoch: number) => Promise<string>): Promise<string | null> {
  const leader = await leaderOf(victims);
  const child = leader?.child ?? null;
  if (leader === null || child === null) return null;
  child.kill("SIGSTOP");
  try {
    return await meanwhile(leader.epoch);
  } finally {
    child.kill("SIGCONT");
  }
}
