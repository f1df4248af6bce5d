/**
 * The Kubernetes cluster of a test run: a control plane that all test processes of this checkout share, or the cluster
 * that MYZEL_TEST_KUBECONFIG names. Tests keep apart by namespaces (fresh-namespace.ts), and break nothing that is
 * shared: who stops an API server starts a cluster of its own (cluster.ts).
 */
import { join } from "node:path";
import { sharedService } from "../../support/shared-service.ts";
import { nodeThatTakesPods } from "./nodes-of-others.ts";
import { clusterProgram, programProblem } from "./cluster-program.ts";

const START_TIMEOUT_MS = 240_000;

let shared: Promise<string> | undefined;

/** Why there can be no cluster here, for the `skip` of a test; false if there can. */
export async function kubernetesProblem(): Promise<string | false> {
  if (givenKubeconfig() !== null) return false;
  const problem = await programProblem();
  return problem !== null && `${problem}, and MYZEL_TEST_KUBECONFIG names no other`;
}

/** Why a test cannot have a control plane of its own to break, for its `skip`; false if it can. */
export async function ownClusterProblem(): Promise<string | false> {
  return (await programProblem()) ?? false;
}

/** Why a test cannot play the kubelet in the cluster of all tests, for its `skip`; false if it can. */
export async function playingProblem(): Promise<string | false> {
  const given = givenKubeconfig();
  if (given === null) return kubernetesProblem();
  const { clientsFor } = await import("./clients.ts");
  const node = await nodeThatTakesPods(clientsFor(given));
  return node !== null && `the node ${node} of the given cluster would take the pods whose kubelet a test plays`;
}

/** Path of an administrator's kubeconfig. The cluster stays at least as long as this process. */
export function sharedKubeconfig(): Promise<string> {
  return (shared ??= findKubeconfig());
}

async function findKubeconfig(): Promise<string> {
  const given = givenKubeconfig();
  if (given !== null) return given;
  // Built here, where somebody sees the progress.
  await clusterProgram();
  const owner = join(import.meta.dirname, "cluster-owner.ts");
  const answer = await sharedService<{ kubeconfig: string }>({
    name: "test-kubernetes",
    owner,
    startTimeoutMs: START_TIMEOUT_MS,
  });
  return answer.kubeconfig;
}

function givenKubeconfig(): string | null {
  return process.env["MYZEL_TEST_KUBECONFIG"] || null;
}
