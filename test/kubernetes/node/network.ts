/** The two networks that a node can have: a bridge that knows no NetworkPolicy, and Cilium, which enforces them. */
import { PLACE } from "./place.ts";
import { runProgram } from "./program.ts";

export interface NodeNetwork {
  /** What a command that runs on the node begins with. */
  readonly enter: readonly string[];
  /** The node's own address. */
  readonly nodeAddress: string;
  /** The configuration of containers' networks. */
  readonly containers: object;
  /** Makes the devices; machine.ts takes them away. */
  make(): Promise<void>;
}

/** Node and machine are one: pods are ports of a bridge on which the machine listens. */
export const BRIDGE: NodeNetwork = {
  enter: [],
  nodeAddress: PLACE.address,
  // The bridge has its address already: as a gateway the plugin would switch on the machine's forwarding.
  containers: {
    cniVersion: "1.0.0",
    name: "myzel-test",
    plugins: [
      {
        type: "bridge",
        bridge: PLACE.device,
        ipMasq: false,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: PLACE.subnet, gateway: PLACE.address }]],
          routes: [{ dst: "0.0.0.0/0" }],
          dataDir: `${PLACE.directory}/addresses`,
        },
      },
    ],
  },
  async make() {
    // With an address of its own: else it takes one of its ports', and changes it under the pods when that port goes.
    await ip("link", "add", PLACE.device, "address", PLACE.mac, "type", "bridge");
    await ip("address", "add", `${PLACE.address}/24`, "dev", PLACE.device);
    // Nobody leads to Services here, so the one that every pod is told of is where it says.
    await ip("address", "add", `${PLACE.apiService}/32`, "dev", PLACE.device);
    await ip("link", "set", PLACE.device, "up");
  },
};

/**
 * The node has a network namespace of its own, where Cilium may do as it likes. On its one side is the machine, at an
 * address as a database of the company has it and at public ones; on its other side the world (world.ts).
 */
export const CILIUM: NodeNetwork = {
  enter: ["nsenter", `--net=/run/netns/${PLACE.nodeNetwork}`, "--"],
  nodeAddress: PLACE.nodeAddress,
  containers: {
    cniVersion: "1.0.0",
    name: "cilium",
    plugins: [{ type: "cilium-cni", "log-file": `${PLACE.directory}/cilium-cni.log` }],
  },
  async make() {
    const { nodeNetwork: node, worldNetwork: world, device, address, nodeAddress } = PLACE;
    for (const name of [node, world]) {
      await ip("netns", "add", name);
      await ip("-n", name, "link", "set", "lo", "up");
    }
    await ip("link", "add", device, "type", "veth", "peer", "name", "machine", "netns", node);
    await ip("address", "add", `${address}/24`, "dev", device);
    for (const one of PLACE.publicAddresses) await ip("address", "add", `${one}/32`, "dev", device);
    await ip("link", "set", device, "up");
    await ip("-n", node, "address", "add", `${nodeAddress}/24`, "dev", "machine");
    await ip("-n", node, "link", "set", "machine", "up");
    await ip("-n", node, "route", "add", "default", "via", address);
    await ip("route", "add", PLACE.podSubnet, "via", nodeAddress);

    await ip("-n", node, "link", "add", "world", "type", "veth", "peer", "name", "node", "netns", world);
    await ip("-n", node, "address", "add", "10.213.99.1/30", "dev", "world");
    await ip("-n", world, "address", "add", "10.213.99.2/30", "dev", "node");
    await ip("-n", node, "link", "set", "world", "up");
    await ip("-n", world, "link", "set", "node", "up");
    await ip("-n", world, "route", "add", "default", "via", "10.213.99.1");
    for (const one of PLACE.worldAddresses) {
      await ip("-n", world, "address", "add", `${one}/32`, "dev", "lo");
      await ip("-n", node, "route", "add", `${one}/32`, "via", "10.213.99.2");
    }
  },
};

/** Takes away what either of them has made. */
export async function removeNetworks(): Promise<void> {
  await ip("link", "delete", PLACE.device).catch(() => {});
  for (const name of [PLACE.nodeNetwork, PLACE.worldNetwork]) await ip("netns", "delete", name).catch(() => {});
}

async function ip(...args: string[]): Promise<void> {
  await runProgram("ip", args);
}
