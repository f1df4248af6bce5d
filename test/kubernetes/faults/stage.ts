/** Everything that a run of the suite breaks, watches and speaks to, and how it ends. */
import { join } from "node:path";
import pg from "pg";
import { engineFleet } from "../../fault/engine-fleet.ts";
import { filings, type Filings } from "../../fault/filing.ts";
import { handEdits, type HandEdits } from "../../fault/hand-edits.ts";
import { seededRandom, type Random } from "../../fault/random.ts";
import { testDatabase } from "../../support/postgres.ts";
import { startApiProxy } from "../launcher-proxy.ts";
import { clientsFor } from "../support/clients.ts";
import { startCluster } from "../support/cluster.ts";
import { freshNamespace } from "../support/fresh-namespace.ts";
import { playedMachine } from "./played-machine.ts";
import { playedWorkers, type PlayedWorkers } from "./played-workers.ts";
import type { Victims } from "./victims.ts";

export interface Stage extends Omit<Victims, "healing"> {
  readonly workers: PlayedWorkers;
  readonly filing: Filings;
  readonly edits: HandEdits;
  readonly random: Random;
  close(): Promise<void>;
}

const ENGINES = 2;

/** A control plane without a watch cache (what etcd has forgotten is gone), a database, a kubelet and two engines. */
export async function makeStage(seed: string): Promise<Stage> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const end of closers.splice(0).toReversed()) {
      try {
        await end();
      } catch (error) {
        failures.push(error); // the others end all the same
      }
    }
    if (failures.length > 0) throw failures[0];
  };
  try {
    return { ...(await makeParts(seed, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What ends them goes to `closers`, first made last. */
async function makeParts(seed: string, closers: (() => unknown)[]): Promise<Omit<Stage, "close">> {
  const database = await testDatabase();
  closers.push(() => database.close());
  const cluster = await startCluster({ watchCache: false });
  closers.push(() => cluster.stop());
  const clients = clientsFor(cluster.kubeconfig);
  const { name: namespace } = await freshNamespace(clients, "faults");
  const secret = { metadata: { name: "myzel-claude" }, stringData: { token: "sk-ant-oat01-test" } };
  await clients.core.createNamespacedSecret({ namespace, body: secret });

  const workers = playedWorkers({ clients, namespace, podUrl: database.url("pod"), seed });
  closers.push(() => workers.close());
  const machine = await playedMachine({ clients, namespace, workers });
  closers.push(() => machine.remove());
  closers.push(() => machine.stop());
  const people = new pg.Pool({ connectionString: database.url("operator"), max: 6 });
  closers.push(() => people.end());

  const fleet = await engineFleet({
    count: ENGINES,
    program: join(import.meta.dirname, "engine-process.ts"),
    newProxy: () => startApiProxy(cluster.kubeconfig, cluster.directory),
    environmentOf: ({ kubeconfig }) => ({
      FAULT_ENGINE_URL: database.url("engine"),
      FAULT_POD_URL: database.url("pod"),
      FAULT_KUBECONFIG: kubeconfig,
      FAULT_NAMESPACE: namespace,
    }),
  });
  closers.push(() => fleet.close());
  for (const engine of fleet.engines) fleet.start(engine);

  const filing = filings(people, seededRandom(`${seed} filing`));
  return {
    cluster,
    clients,
    namespace,
    admin: database.pool,
    fleet,
    random: seededRandom(`${seed} pace`),
    machine,
    workers,
    filing,
    edits: handEdits(people, filing.filed, seededRandom(`${seed} edits`)),
  };
}
