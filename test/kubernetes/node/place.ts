/** Names and paths of the one node that a machine may have at a time. All that it leaves on the machine bears them. */
import { join } from "node:path";

const DIRECTORY = "/tmp/myzel-test-node";

export const PLACE = {
  directory: DIRECTORY,
  socket: join(DIRECTORY, "containerd.sock"),
  cniConfig: join(DIRECTORY, "cni"),
  /** Below the root of every cgroup hierarchy. */
  cgroup: "myzel-test-node",
  /** The machine's way to the node: a bridge, or one end of a cable. */
  device: "myzel-test0",
  mac: "02:6d:79:7a:65:6c",
  /** Of the machine, as pods see it: what listens here or on all addresses is reached by them. */
  address: "10.213.97.1",
  subnet: "10.213.97.0/24",
  /** Of the Service `kubernetes`: pods find it in their environment. */
  apiService: "10.0.0.1",

  // What follows is there with Cilium only.
  nodeNetwork: "myzel-test-node",
  worldNetwork: "myzel-test-world",
  nodeAddress: "10.213.97.2",
  podSubnet: "10.213.98.0/24",
  /** Further addresses of the machine, of a range that is nobody's: where a model and a git host may be. */
  publicAddresses: ["198.51.100.7", "198.51.100.8"],
  /** Of the world: a public one, and one of each sort that runs are kept from, that of metadata services first. */
  worldAddresses: ["203.0.113.10", "169.254.169.254", "10.77.0.1", "172.16.77.1", "192.168.77.1", "100.64.77.1"],
} as const;

export const PAUSE_IMAGE = "localhost/myzel-pause:1";
