/**
 * The faults. Each is made, lasts, and is undone by itself; it says what really happened, or null where it
 * could not be made (no leader to pause, say). Many may last at the same time.
 */
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { DatabaseServer } from "./database-server.ts";
import type { EngineFleet, FaultyEngine } from "./engine-fleet.ts";
import type { Proxy } from "./proxy.ts";
import type { Random } from "./random.ts";

export interface Victims {
  server: DatabaseServer;
  fleet: EngineFleet<Proxy>;
  /** Of those who file tasks, and of pods. */
  otherProxies: readonly Proxy[];
  random: Random;
  /** Aborted when faults are to end early, so that the system can be looked at. */
  healing: AbortSignal;
}

/** Longer than a successor may need to replace a silent leader (15 s). */
const TAKEOVER_MS = 25_000;

const WEIGHTS = {
  kill_leader: 14,
  kill_standby: 6,
  kill_all_engines: 2,
  end_leader_in_order: 4,
  pause_leader: 12,
  pause_leader_until_replaced: 2,
  usurp_leader: 6,
  restart_postgres: 6,
  cut_leader: 8,
  cut_some: 12,
  terminate_backends: 6,
  half_open_some: 10,
  half_open_leader_until_replaced: 2,
  drop_notifications: 8,
  delay_notifications: 6,
  slow_network: 8,
  fill_connections: 4,
} as const;
export type FaultName = keyof typeof WEIGHTS;

type Fault = (victims: Victims) => Promise<string | null>;

const FAULTS: Record<FaultName, Fault> = {
  kill_leader: async (victims) => await endLeader(victims, "SIGKILL"),
  end_leader_in_order: async (victims) => await endLeader(victims, "SIGTERM"),
  kill_standby: async (victims) => {
    const leader = victims.fleet.leader();
    const standby = victims.fleet.engines.find((engine) => engine.child !== null && engine !== leader);
    if (standby === undefined) return null;
    await endAndRestart(victims, [standby], "SIGKILL");
    return "killed";
  },
  kill_all_engines: async (victims) => {
    await endAndRestart(victims, victims.fleet.engines, "SIGKILL");
    return "killed";
  },
  pause_leader: async (victims) => {
    const { leader, epoch } = leaderOf(victims);
    if (leader === null) return null;
    return await paused(leader, async () => {
      await lasting(victims, victims.random.between(50, 3_000));
      return victims.fleet.newestEpoch() > epoch ? "woke after its successor" : "woke";
    });
  },
  pause_leader_until_replaced: async (victims) => {
    const { leader, epoch } = leaderOf(victims);
    if (leader === null) return null;
    return await paused(leader, async () => await untilReplaced(victims, epoch));
  },
  /** Its lock goes while it is paused: a successor leads at once, and the old one's other connections still live. */
  usurp_leader: async (victims) => {
    const { leader, epoch } = leaderOf(victims);
    if (leader === null) return null;
    return await paused(leader, async () => {
      await asAdmin(victims.server, (admin) =>
        admin.query(`select pg_terminate_backend(pid) from pg_locks
          where locktype = 'advisory' and classid = 1299798577 and objid = 1 and granted`),
      );
      return await untilReplaced(victims, epoch);
    });
  },
  restart_postgres: async ({ server }) => {
    await server.restartImmediately();
    return "restarted";
  },
  cut_leader: async (victims) => {
    const connections = victims.fleet.leader()?.proxy.connections() ?? [];
    for (const connection of connections) connection.cut();
    return connections.length > 0 ? "cut" : null;
  },
  cut_some: async (victims) => {
    const chosen = allProxies(victims)
      .flatMap((proxy) => proxy.connections())
      .filter(() => victims.random.chance(0.3));
    for (const connection of chosen) connection.cut();
    return chosen.length > 0 ? "cut" : null;
  },
  terminate_backends: async (victims) => {
    const { rowCount } = await asAdmin(victims.server, (admin) =>
      admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name like 'myzel-engine %' and random() < 0.5`),
    );
    return (rowCount ?? 0) > 0 ? "terminated" : null;
  },
  half_open_some: async (victims) => {
    const chosen = allProxies(victims)
      .flatMap((proxy) => proxy.connections())
      .filter(() => victims.random.chance(0.3));
    if (chosen.length === 0) return null;
    for (const connection of chosen) connection.freeze();
    await lasting(victims, victims.random.between(200, 5_000));
    const thaw = victims.random.chance(0.5);
    for (const connection of chosen)
      if (thaw) connection.thaw();
      else connection.cut();
    return thaw ? "flowed again" : "cut afterwards";
  },
  half_open_leader_until_replaced: async (victims) => {
    const { leader, epoch } = leaderOf(victims);
    if (leader === null) return null;
    leader.proxy.freeze();
    try {
      return await untilReplaced(victims, epoch);
    } finally {
      leader.proxy.thaw();
    }
  },
  drop_notifications: async (victims) => await notifications(victims, "drop"),
  delay_notifications: async (victims) => await notifications(victims, "delay"),
  slow_network: async (victims) => {
    const slow = allProxies(victims).filter(() => victims.random.chance(0.6));
    for (const proxy of slow) proxy.latencyMs = victims.random.between(2, 40);
    await lasting(victims, victims.random.between(500, 3_000));
    for (const proxy of slow) proxy.latencyMs = 0;
    return slow.length > 0 ? "slow" : null;
  },
  fill_connections: async (victims) => await fillConnections(victims),
};

export const FAULT_NAMES = Object.keys(WEIGHTS) as FaultName[];

/** One of these faults by weight; a name that lasts already is not made once more, so there may be none. */
export function chooseFault(
  random: Random,
  among: readonly FaultName[],
  lasting: ReadonlySet<FaultName>,
): FaultName | null {
  const free = among.filter((name) => !lasting.has(name));
  if (free.length === 0) return null;
  return random.weighted(Object.fromEntries(free.map((name) => [name, WEIGHTS[name]])) as Record<FaultName, number>);
}

/** Makes the fault and undoes it; returns what really happened, or null. */
export async function makeFault(name: FaultName, victims: Victims): Promise<string | null> {
  return await FAULTS[name](victims);
}

async function endLeader(victims: Victims, signal: "SIGKILL" | "SIGTERM"): Promise<string | null> {
  const leader = victims.fleet.leader();
  if (leader === null || leader.paused) return null;
  await endAndRestart(victims, [leader], signal);
  return "ended";
}

async function endAndRestart(
  victims: Victims,
  engines: readonly FaultyEngine<Proxy>[],
  signal: "SIGKILL" | "SIGTERM",
): Promise<void> {
  await Promise.all(engines.map((engine) => victims.fleet.end(engine, signal)));
  await lasting(victims, victims.random.between(0, 2_000));
  for (const engine of engines) victims.fleet.start(engine);
}

function leaderOf({ fleet }: Victims): { leader: FaultyEngine<Proxy> | null; epoch: number } {
  const leader = fleet.leader();
  return { leader: leader?.paused === true ? null : leader, epoch: fleet.newestEpoch() };
}

async function paused(engine: FaultyEngine<Proxy>, meanwhile: () => Promise<string | null>): Promise<string | null> {
  const { child } = engine;
  if (child === null) return null;
  child.kill("SIGSTOP");
  engine.paused = true;
  try {
    return await meanwhile();
  } finally {
    child.kill("SIGCONT");
    engine.paused = false;
  }
}

/** Waits for the next epoch, and a moment longer, so that the successor is at work when the old one is back. */
async function untilReplaced(victims: Victims, epoch: number): Promise<string | null> {
  const deadline = performance.now() + TAKEOVER_MS;
  while (victims.fleet.newestEpoch() === epoch && performance.now() < deadline && !victims.healing.aborted) {
    await delay(100);
  }
  const replaced = victims.fleet.newestEpoch() > epoch;
  if (replaced) await lasting(victims, victims.random.between(0, 1_000));
  return replaced ? "back after its successor" : "back too early";
}

async function notifications(victims: Victims, how: "drop" | "delay"): Promise<string | null> {
  const proxies = victims.fleet.engines.map((engine) => engine.proxy);
  const before = disturbed(proxies);
  for (const proxy of proxies) {
    proxy.notifications = how;
    proxy.notificationDelayMs = victims.random.between(50, 1_500);
  }
  await lasting(victims, victims.random.between(1_000, 4_000));
  for (const proxy of proxies) if (proxy.notifications === how) proxy.notifications = "pass";
  return disturbed(proxies) > before ? "disturbed" : null;
}

function disturbed(proxies: readonly Proxy[]): number {
  return proxies.reduce((sum, { disturbed: { dropped, delayed } }) => sum + dropped + delayed, 0);
}

/** Takes every connection that people may have, and so the engine too. */
async function fillConnections(victims: Victims): Promise<string | null> {
  const taken: pg.Client[] = [];
  let full = false;
  while (!full && taken.length < 200) {
    const client = new pg.Client({ connectionString: victims.server.logins.operator });
    client.on("error", () => undefined);
    try {
      await client.connect();
      taken.push(client);
    } catch {
      full = true;
    }
  }
  await lasting(victims, victims.random.between(500, 2_500));
  await Promise.all(taken.map((client) => client.end().catch(() => undefined)));
  return taken.length > 0 ? "filled" : null;
}

function allProxies({ fleet, otherProxies }: Victims): Proxy[] {
  return [...fleet.engines.map((engine) => engine.proxy), ...otherProxies];
}

async function lasting({ healing }: Victims, ms: number): Promise<void> {
  await delay(ms, undefined, { signal: healing }).catch(() => undefined);
}

async function asAdmin<T>(server: DatabaseServer, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: server.adminUrl });
  admin.on("error", () => undefined);
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end().catch(() => undefined);
  }
}
