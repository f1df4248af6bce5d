/**
 * What the engine's account does in the namespace of its runs: exactly what the Role in deploy/ grants. A test
 * holds this list, that Role and the API server's audit log together.
 */
import { podSecretName } from "../launcher-settings.ts";

export interface Right {
  verb: string;
  /** Empty: the core group. */
  group: string;
  resource: string;
  subresource?: string;
  /** Of one object alone. */
  name?: string;
}

/** Without these no run can be made, seen or ended. */
export function neededRights(instance: string): Right[] {
  const jobs = ["create", "get", "list", "watch", "patch", "delete"];
  return [
    ...jobs.map((verb) => ({ verb, group: "batch", resource: "jobs" })),
    ...["list", "watch", "delete"].map((verb) => ({ verb, group: "", resource: "pods" })),
    { verb: "patch", group: "", resource: "secrets", name: podSecretName(instance) },
  ];
}

/** Without these runs go on, and the engine knows less of them. `loss` completes "without it …". */
export function usefulRights(claudeSecret: string): (Right & { loss: string })[] {
  const core = { group: "" };
  return [
    { ...core, verb: "get", resource: "pods", subresource: "log", loss: "logs of live runs cannot be read" },
    { ...core, verb: "patch", resource: "pods", loss: "a run that is stopped leaves nothing of its work" },
    { ...core, verb: "list", resource: "events", loss: "nobody is told why the cluster refuses a pod" },
    {
      ...core,
      verb: "get",
      resource: "secrets",
      name: claudeSecret,
      loss: "a missing Claude login is found by the run instead of before it",
    },
  ];
}

/** As in `kubectl auth can-i`: `get pods/log`, `patch secrets/myzel-pods`. */
export function rightText({ verb, resource, subresource, name }: Right): string {
  return `${verb} ${[resource, subresource ?? name].filter(Boolean).join("/")}`;
}
