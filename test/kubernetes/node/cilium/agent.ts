/** Cilium's agent on the node: gives pods their network, leads to Services, and enforces NetworkPolicies. */
import { readdir, readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { load } from "js-yaml";
import { eventually } from "../../../support/waiting.ts";
import { createObject } from "../../deploy/create-object.ts";
import type { KubernetesObject } from "../../deploy/kustomize.ts";
import { writeKubeconfig } from "../../support/certificates.ts";
import { clientsFor, type Clients } from "../../support/clients.ts";
import type { TestCluster } from "../../support/cluster.ts";
import { CILIUM_SOCKET } from "../containerd.ts";
import { startDaemon } from "../daemon.ts";
import { CILIUM } from "../network.ts";
import { PLACE } from "../place.ts";

const READY_TIMEOUT_MS = 120_000;
const OWN_MOUNTS = join(import.meta.dirname, "with-own-mounts.sh");
const KUBECONFIG = join(PLACE.directory, "cilium.kubeconfig");

/**
 * Resolves when it takes pods.
 * @param options.programs of `ciliumPrograms`
 * @param options.server the API server as the node reaches it
 * @throws Error with the end of its log where it has ended
 */
export async function startCilium(
  cluster: TestCluster,
  { programs, nodeName, server }: { programs: string; nodeName: string; server: string },
): Promise<void> {
  const clients = clientsFor(cluster.kubeconfig);
  // What its operator would do: the kinds, and the node's share of the pods' addresses.
  await makeKinds(clients, join(programs, "kinds"));
  await createObject(clients.config, apiServerSlice(new URL(server)));
  await clients.core.patchNode({
    name: nodeName,
    body: [{ op: "add", path: "/spec/podCIDR", value: PLACE.podSubnet }],
  });
  const subject = "/O=system:masters/CN=cilium";
  const client = await cluster.authority.sign({ name: "cilium", subject });
  await writeKubeconfig(KUBECONFIG, { server, serverName: "kubernetes", authority: cluster.authority, client });
  const agent = await startDaemon({
    program: join(programs, "daemon"),
    args: flags(programs),
    enter: [...CILIUM.enter, ...["unshare", "--mount", "--propagation", "private", "--"], OWN_MOUNTS, PLACE.directory],
    path: process.env["PATH"] ?? "",
    environment: { K8S_NODE_NAME: nodeName, HOME: PLACE.directory },
    logFile: join(PLACE.directory, "cilium.log"),
  });
  await eventually(
    "Cilium is ready",
    async () => {
      await agent.checkAlive();
      return isHealthy();
    },
    READY_TIMEOUT_MS,
  );
}

function flags(programs: string): string[] {
  const state = join(PLACE.directory, "cilium");
  return [
    `--k8s-kubeconfig-path=${KUBECONFIG}`,
    `--state-dir=${state}`,
    `--socket-path=${CILIUM_SOCKET}`,
    // The datapath's sources are looked for in `bpf` of it.
    `--lib-dir=${programs}`,
    `--bpf-root=${join(PLACE.directory, "bpf")}`,
    `--cgroup-root=${join(PLACE.directory, "cgroup2")}`,
    "--ipam=kubernetes",
    "--routing-mode=native",
    "--ipv4-native-routing-cidr=10.213.0.0/16",
    "--enable-ipv4-masquerade=false",
    "--enable-ipv6=false",
    "--enable-ipv6-masquerade=false",
    // Rules by address and port are all that NetworkPolicies have.
    "--enable-l7-proxy=false",
    "--kube-proxy-replacement=false",
    "--enable-health-checking=false",
    "--enable-endpoint-health-checking=false",
    "--disable-endpoint-crd=true",
    "--devices=machine,world",
  ];
}

/** Where the Service `kubernetes` leads to: API servers write it themselves, but this one is known to itself as loopback. */
function apiServerSlice({ hostname, port }: URL): KubernetesObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "kubernetes", namespace: "default", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [hostname], conditions: { ready: true } }],
    ports: [{ name: "https", port: Number(port), protocol: "TCP" }],
  };
}

async function makeKinds(clients: Clients, directory: string): Promise<void> {
  for (const version of await readdir(directory)) {
    for (const name of await readdir(join(directory, version))) {
      const kind = load(await readFile(join(directory, version, name), "utf8")) as KubernetesObject;
      await createObject(clients.config, kind);
    }
  }
}

async function isHealthy(): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: CILIUM_SOCKET, path: "/v1/healthz?brief=true", timeout: 2_000 }, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.on("error", () => resolve(false));
      answer.on("end", () => resolve(stateIn(Buffer.concat(parts).toString()) === "Ok"));
    });
    asked.on("error", () => resolve(false));
    asked.on("timeout", () => asked.destroy());
    asked.end();
  });
}

function stateIn(answer: string): unknown {
  try {
    return (JSON.parse(answer) as { cilium?: { state?: string } }).cilium?.state;
  } catch {
    return null;
  }
}
