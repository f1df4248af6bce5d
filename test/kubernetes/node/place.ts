/** Names and paths of the one node that a machine may have at a time. All that it leaves on the machine bears them. */
import { join } from "node:path";

const DIRECTORY = "/tmp/myzel-test-node";

export const PLACE = {
  directory: DIRECTORY,
  socket: join(DIRECTORY, "containerd.sock"),
  cniConfig: join(DIRECTORY, "cni"),
  /** Below the root of every cgroup hierarchy. */
  cgroup: "myzel-test-node",
  bridge: "myzel-test0",
  bridgeMac: "02:6d:79:7a:65:6c",
  /** Of the machine, as pods see it: what listens here or on all addresses is reached by them. */
  address: "10.213.97.1",
  subnet: "10.213.97.0/24",
} as const;

export const PAUSE_IMAGE = "localhost/myzel-pause:1";
