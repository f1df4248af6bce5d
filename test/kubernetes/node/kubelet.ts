/** The kubelet of the test cluster's program, for a node on this machine. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestCluster } from "../support/cluster.ts";
import { writeKubeconfig } from "../support/certificates.ts";
import { clusterProgram } from "../support/cluster-program.ts";
import { makePart, type Part } from "../support/part.ts";
import { stablePorts } from "../../support/ports.ts";
import type { NodeNetwork } from "./network.ts";
import { PLACE } from "./place.ts";

/**
 * Starts it; the node registers itself, and is ready some seconds later.
 * @param options.server the API server as the node reaches it; its certificate is good for the name `kubernetes`
 */
export async function startKubelet(
  cluster: TestCluster,
  { nodeName, network, server }: { nodeName: string; network: NodeNetwork; server: string },
): Promise<Part> {
  const subject = `/O=system:nodes/CN=system:node:${nodeName}`;
  const certificate = await cluster.authority.sign({ name: "kubelet", subject, names: `IP:${network.nodeAddress}` });
  const kubeconfig = join(PLACE.directory, "kubelet.kubeconfig");
  const config = join(PLACE.directory, "kubelet.json");
  const { authority } = cluster;
  const [port = 0] = await stablePorts(1);
  await writeKubeconfig(kubeconfig, { server, serverName: "kubernetes", authority, client: certificate });
  await writeFile(
    config,
    JSON.stringify({ ...CONFIG, address: network.nodeAddress, port, ...accessOf(cluster, certificate) }),
  );
  const part = makePart({
    program: await clusterProgram(),
    name: "kubelet",
    flags: [
      `--config=${config}`,
      `--kubeconfig=${kubeconfig}`,
      `--hostname-override=${nodeName}`,
      // Not loopback, which it refuses.
      `--node-ip=${network.nodeAddress}`,
      `--root-dir=${join(PLACE.directory, "kubelet")}`,
      `--cert-dir=${PLACE.directory}`,
    ],
    directory: PLACE.directory,
    enter: network.enter,
  });
  await part.start();
  return part;
}

function accessOf(cluster: TestCluster, certificate: { certFile: string; keyFile: string }) {
  return {
    tlsCertFile: certificate.certFile,
    tlsPrivateKeyFile: certificate.keyFile,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: cluster.authority.certFile },
    },
    // Who has a certificate of this cluster is let in.
    authorization: { mode: "AlwaysAllow" },
  };
}

const CONFIG = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  containerRuntimeEndpoint: `unix://${PLACE.socket}`,
  cgroupDriver: "cgroupfs",
  cgroupRoot: `/${PLACE.cgroup}`,
  failCgroupV1: false,
  failSwapOn: false,
  makeIPTablesUtilChains: false,
  // Pods of the tests know addresses only.
  resolvConf: "",
  // A disk that is nearly full is the machine's own affair.
  imageGCHighThresholdPercent: 100,
  evictionHard: { "memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
  podLogsDir: join(PLACE.directory, "pod-logs"),
  volumePluginDir: join(PLACE.directory, "volume-plugins"),
  nodeStatusUpdateFrequency: "2s",
  healthzPort: 0,
  readOnlyPort: 0,
};
