/**
 * An engine that starts on a backlog nobody has looked at yet: until it leads, until its first launch, and
 * its memory after some work. The backlog is the worst for it: every task its own addressee.
 */
import { setTimeout as delay } from "node:timers/promises";
import { myzelLogins, prepareMyzel } from "../contestants/myzel-database.ts";
import { cpuTicks, residentMb, startEngine } from "../engine.ts";
import type { Engine } from "../engine.ts";
import { round } from "../figures.ts";
import { asAdmin } from "../server.ts";
import type { BenchServer } from "../server.ts";
import { SHAPES } from "../shapes.ts";

const DEADLINE_MS = 120_000;

export interface Start {
  leads_after_ms: number;
  first_launch_after_ms: number;
  /** Resident, after the box. */
  memory_mb: number;
  cpu_percent: number;
}

export async function measureStart(options: { server: BenchServer; pending: number; boxMs: number }): Promise<Start> {
  const { server, pending, boxMs } = options;
  await server.template("myzel", (url) => prepareMyzel(url, server));
  const url = await server.clone("myzel");
  try {
    const logins = await myzelLogins({ url, server });
    const start = () => startEngine({ url: logins.engine, cacheDir: server.dataDir });
    await (await start()).stop(); // fills the cache of compiled code, as any earlier start does
    await asAdmin(url, async (admin) => {
      await admin.query(
        `insert into tasks (addressee, prompt)
         select ${SHAPES.b.addressee}, 'p' from generate_series(1, ${pending}) i`,
      );
      await admin.query("checkpoint");
    });
    const engine = await start();
    try {
      return await observe(engine, { pending, boxMs });
    } finally {
      await engine.stop();
    }
  } finally {
    await server.drop(url);
  }
}

async function observe(engine: Engine, options: { pending: number; boxMs: number }): Promise<Start> {
  const firstLaunch = options.pending === 0 ? 0 : await firstLaunchOf(engine);
  const before = await cpuTicks(engine.pid);
  await delay(options.boxMs);
  const ticks = (await cpuTicks(engine.pid)) - before;
  return {
    leads_after_ms: Math.round(engine.leadsAfterMs),
    first_launch_after_ms: Math.round(firstLaunch),
    memory_mb: await residentMb(engine.pid),
    cpu_percent: round(ticks / (options.boxMs / 1000)),
  };
}

async function firstLaunchOf(engine: Engine): Promise<number> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const ms = engine.firstLaunchAfterMs();
    if (ms !== null) return ms;
    if (performance.now() > deadline) throw new Error(`nothing was launched within ${DEADLINE_MS / 1000} s`);
    await delay(5);
  }
}
