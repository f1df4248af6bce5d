/** A Job of the shape of a run, for tests of the tools: three phases, nothing of the engine's. */
import type { V1Container, V1Job } from "@kubernetes/client-node";

/** Accepted where `restricted` is enforced; init containers `checkout` and `agent`, container `publish`. */
export function sampleJob(name: string): V1Job {
  const phase = (container: string): V1Container => ({
    name: container,
    image: "nowhere.invalid/worker:1",
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
  });
  return {
    metadata: { name },
    spec: {
      backoffLimit: 0,
      template: {
        spec: {
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } },
          initContainers: [phase("checkout"), phase("agent")],
          containers: [phase("publish")],
        },
      },
    },
  };
}
