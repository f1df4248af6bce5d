/** The Kubernetes client for one kubeconfig, as tests use it. */
import { BatchV1Api, CoordinationV1Api, CoreV1Api, KubeConfig } from "@kubernetes/client-node";

export interface Clients {
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  readonly batch: BatchV1Api;
  readonly coordination: CoordinationV1Api;
}

/** @param kubeconfig path of the file */
export function clientsFor(kubeconfig: string): Clients {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  return {
    config,
    core: config.makeApiClient(CoreV1Api),
    batch: config.makeApiClient(BatchV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
  };
}

/** Undefined where the API server knows no such thing. */
export async function unlessNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if ((error as { code?: unknown }).code === 404) return undefined;
    throw error;
  }
}
