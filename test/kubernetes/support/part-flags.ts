/** The command lines of a control plane's parts, and the certificates that they name. */
import { join } from "node:path";
import type { Certificate } from "./certificates.ts";
import { writeClient, type Place } from "./place.ts";

export interface ApiServerOptions {
  /** False: the API server keeps no events in memory, so that what etcd has forgotten is gone. Default true, as everywhere. */
  readonly watchCache?: boolean;
  /** Further flags of the API server, such as `--max-requests-inflight=5`. */
  readonly apiServerFlags?: readonly string[];
}

export function etcdFlags({ directory, etcdUrl, peerUrl }: Place): string[] {
  return [
    `--data-dir=${join(directory, "etcd")}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

export async function apiServerFlags(place: Place, options: ApiServerOptions): Promise<string[]> {
  const { authority, directory, etcdUrl, apiPort } = place;
  const names = "IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc";
  const server = await authority.sign({ name: "apiserver", subject: "/CN=kube-apiserver", names });
  const kubeletClient = await authority.sign({
    name: "apiserver-kubelet-client",
    subject: "/O=system:masters/CN=kube-apiserver-kubelet-client",
  });
  return [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${apiPort}`,
    `--cert-dir=${directory}`,
    ...certificateFlags(server),
    `--client-ca-file=${authority.certFile}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    // As in every cluster: what a pod may do is Pod Security's to judge.
    "--allow-privileged=true",
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${authority.serviceAccountKey.certFile}`,
    `--service-account-signing-key-file=${authority.serviceAccountKey.keyFile}`,
    // For logs and exec, where there is a node.
    "--kubelet-preferred-address-types=InternalIP",
    `--kubelet-client-certificate=${kubeletClient.certFile}`,
    `--kubelet-client-key=${kubeletClient.keyFile}`,
    `--kubelet-certificate-authority=${authority.certFile}`,
    ...(options.watchCache === false ? ["--watch-cache=false"] : []),
    ...(options.apiServerFlags ?? []),
  ];
}

function certificateFlags({ certFile, keyFile }: Certificate): string[] {
  return [`--tls-cert-file=${certFile}`, `--tls-private-key-file=${keyFile}`];
}

export async function controllerManagerFlags(place: Place): Promise<string[]> {
  const name = "kube-controller-manager";
  return [
    `--kubeconfig=${await writeClient(place, { name, subject: `/CN=system:${name}` })}`,
    `--root-ca-file=${place.authority.certFile}`,
    `--service-account-private-key-file=${place.authority.serviceAccountKey.keyFile}`,
    "--use-service-account-credentials=true",
    "--leader-elect=false",
    "--secure-port=0",
    // With its own default of 20 requests a second it makes about ten pods a second.
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
  ];
}

export async function schedulerFlags(place: Place): Promise<string[]> {
  const name = "kube-scheduler";
  const kubeconfig = await writeClient(place, { name, subject: `/CN=system:${name}` });
  return [
    `--kubeconfig=${kubeconfig}`,
    "--leader-elect=false",
    "--secure-port=0",
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
  ];
}
