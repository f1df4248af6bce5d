/** Everything that a run of the suite breaks, watches and speaks to, and how it ends. */
import pg from "pg";
import { filings, type Filings } from "../../fault/filing.ts";
import { handEdits, type HandEdits } from "../../fault/hand-edits.ts";
import { seededRandom, type Random } from "../../fault/random.ts";
import { testDatabase } from "../../support/postgres.ts";
import { startAutoKubelet } from "../support/auto-kubelet.ts";
import { clientsFor } from "../support/clients.ts";
import { startCluster } from "../support/cluster.ts";
import { freshNamespace } from "../support/fresh-namespace.ts";
import { playedNode } from "../support/played-node.ts";
import { engineFleet } from "./engine-fleet.ts";
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
/** A deleted pod takes so long to end. */
const ENDS_AFTER_MS = 100;

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
  const node = await playedNode(clients);
  closers.push(() => node.remove().catch(() => undefined)); // its heartbeat ends in any case
  const secret = { metadata: { name: "myzel-claude" }, stringData: { token: "sk-ant-oat01-test" } };
  await clients.core.createNamespacedSecret({ namespace, body: secret });

  const workers = playedWorkers({ clients, namespace, podUrl: database.url("pod"), seed });
  closers.push(() => workers.close());
  const { plan, act } = workers;
  const kubelet = startAutoKubelet(workers.clients, { namespace, node, plan, act, endsAfterMs: ENDS_AFTER_MS });
  closers.push(() => kubelet.stop());
  const people = new pg.Pool({ connectionString: database.url("operator"), max: 6 });
  closers.push(() => people.end());

  const fleet = await engineFleet({
    count: ENGINES,
    kubeconfig: cluster.kubeconfig,
    directory: cluster.directory,
    namespace,
    engineUrl: database.url("engine"),
    podUrl: database.url("pod"),
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
    workers,
    filing,
    edits: handEdits(people, filing.filed, seededRandom(`${seed} edits`)),
  };
}
