/** The program that owns the control plane which all test files share: see shared-cluster.ts. */
import { rm } from "node:fs/promises";
import { ownService } from "../../support/service-owner.ts";
import { startCluster } from "./cluster.ts";

await ownService(async (directory) => {
  // The parts of a killed owner have ended with it; its directory has not.
  await rm(directory, { recursive: true, force: true });
  const cluster = await startCluster({ directory });
  return { answer: { kubeconfig: cluster.kubeconfig }, stop: cluster.stop };
});
