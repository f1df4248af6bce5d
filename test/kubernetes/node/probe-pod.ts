/** Pods of tests that listen, or try to reach something: programs in the worker image, under the restricted standard. */
import { eventually } from "../../support/waiting.ts";
import type { Clients } from "../support/clients.ts";
import { WORKER_IMAGE } from "./images/own-images.ts";
import { listenerScript, reachScript } from "./world.ts";

export interface ProbePod {
  namespace: string;
  name: string;
  labels: Record<string, string>;
}

/** Takes connections on these ports. Resolves with its address when it does. */
export async function listeningPod(clients: Clients, pod: ProbePod, ports: readonly number[]): Promise<string> {
  await startPod(clients, pod, listenerScript(ports));
  const isListening = async (): Promise<boolean> =>
    (await logOf(clients, pod)).split("listening").length > ports.length;
  await eventually(`${pod.name} listens`, isListening, 60_000);
  // The kubelet tells of it later than of its log.
  return eventually(`${pod.name} has an address`, async () => {
    const { status } = await clients.core.readNamespacedPod({ namespace: pod.namespace, name: pod.name });
    return status?.podIP;
  });
}

/** Which of these addresses (`host:port`) a new pod reaches. */
export async function reachedFrom(clients: Clients, pod: ProbePod, targets: readonly string[]): Promise<string[]> {
  await startPod(clients, pod, reachScript(targets));
  return eventually(`${pod.name} tells`, async () => reachedIn(await logOf(clients, pod)), 60_000);
}

/** What `reachScript` has printed; null: nothing yet. */
export function reachedIn(text: string): string[] | null {
  const found = /REACHED (\[.*?\])/.exec(text)?.[1];
  return found === undefined ? null : (JSON.parse(found) as string[]);
}

async function startPod(clients: Clients, { namespace, name, labels }: ProbePod, script: string): Promise<void> {
  await clients.core.createNamespacedPod({
    namespace,
    body: {
      metadata: { name, labels },
      spec: {
        restartPolicy: "Never",
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 1000,
          runAsGroup: 1000,
          seccompProfile: { type: "RuntimeDefault" },
        },
        containers: [
          {
            name: "probe",
            image: WORKER_IMAGE,
            imagePullPolicy: "Never",
            command: ["/opt/myzel/bin/node", "--eval", script],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
          },
        ],
      },
    },
  });
}

/** Empty as long as it has not begun. */
async function logOf(clients: Clients, { namespace, name }: ProbePod): Promise<string> {
  return clients.core.readNamespacedPodLog({ namespace, name }).catch(() => "");
}
