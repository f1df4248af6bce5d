/** What faults are done to, and what their files share. */
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { EngineFleet } from "../../fault/engine-fleet.ts";
import type { Random } from "../../fault/random.ts";
import type { ApiProxy } from "../launcher-proxy.ts";
import type { Clients } from "../support/clients.ts";
import type { TestCluster } from "../support/cluster.ts";
import type { PlayedMachine } from "./played-machine.ts";

export interface Victims {
  readonly cluster: TestCluster;
  /** The administrator's, past every proxy. */
  readonly clients: Clients;
  readonly namespace: string;
  readonly admin: pg.Pool;
  readonly fleet: EngineFleet<ApiProxy>;
  readonly machine: PlayedMachine;
  readonly random: Random;
  /** Aborted when faults are to end early. */
  readonly healing: AbortSignal;
}

/** Made and undone by itself; says what really happened, or null where it could not be made. */
export type Fault = (victims: Victims) => Promise<string | null>;

export async function lasting({ healing }: Victims, ms: number): Promise<void> {
  await delay(ms, undefined, { signal: healing }).catch(() => undefined);
}

/** The first answer that is not null; null when the time is over, or the API server was away when it was asked. */
export async function within<T>(victims: Victims, ms: number, ask: () => Promise<T | null>): Promise<T | null> {
  const deadline = performance.now() + ms;
  while (performance.now() < deadline && !victims.healing.aborted) {
    const answer = await unlessAway(ask);
    if (answer !== null) return answer;
    await delay(20);
  }
  return null;
}

/** Null where the API server gives no answer, or says that another was faster. */
export async function unlessAway<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    const { code } = error as { code?: unknown };
    const isDecided = typeof code === "number" && code !== 404 && code !== 409 && code !== 429 && code < 500;
    if (isDecided) throw error;
    return null;
  }
}
