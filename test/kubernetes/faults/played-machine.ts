/** The machine that runs the suite's pods, a played node with its kubelet; it may be lost, and another one takes its place. */
import type { AutoKubelet, AutoKubeletOptions } from "../support/auto-kubelet.ts";
import { startAutoKubelet } from "../support/auto-kubelet.ts";
import type { Clients } from "../support/clients.ts";
import { playedNode, type PlayedNode } from "../support/played-node.ts";
import type { PlayedWorkers } from "./played-workers.ts";

/** How people help when a machine is gone: they delete its Node, or vouch with a taint that nothing runs there. */
export type Farewell = "deleted" | "out of service";

export interface PlayedMachine {
  /** Its programs die at once, its pods stay as they are; the next machine is there. Returns the lost node's name. */
  lose(farewell: Farewell): Promise<string>;
  /** Ends the kubelet. @throws what a pod's program threw */
  stop(): Promise<void>;
  /** Removes the nodes, where the API server still answers. */
  remove(): Promise<void>;
}

export interface MachineOptions {
  /** The administrator's; pods are told of through those of `workers`. */
  clients: Clients;
  namespace: string;
  workers: PlayedWorkers;
}

/** A deleted pod takes so long to end. */
const ENDS_AFTER_MS = 100;

export async function playedMachine({ clients, namespace, workers }: MachineOptions): Promise<PlayedMachine> {
  const lost: PlayedNode[] = [];
  let node = await playedNode(clients);
  const startKubelet = (): AutoKubelet => {
    const { plan, act } = workers;
    const options: AutoKubeletOptions = { namespace, node, plan, act, endsAfterMs: ENDS_AFTER_MS };
    return startAutoKubelet(workers.clients, options);
  };
  let kubelet = startKubelet();
  return {
    lose: async (farewell) => {
      await kubelet.stop();
      workers.machineDied();
      lost.push(node);
      const gone = node;
      node = await playedNode(clients);
      kubelet = startKubelet();
      await gone.lose();
      await (farewell === "deleted" ? gone.remove() : gone.setOutOfService());
      return gone.name;
    },
    stop: async () => await kubelet.stop(),
    remove: async () => {
      for (const one of [...lost, node]) await one.remove().catch(() => undefined); // its heartbeat ends in any case
    },
  };
}
