/**
 * The Job and the pod of a run, handed to the API server without being made: everything that stands at its door
 * judges them, validation, Pod Security, limit ranges, quotas, webhooks. Whether the image can be had it cannot say.
 */
import type { V1Job } from "@kubernetes/client-node";
import { ok, problem, unknown, warning, type Check } from "../../../check.ts";
import { LaunchError, type CredentialSource, type LaunchSpec, type ProfileSecrets } from "../../launcher.ts";
import type { Api } from "../api.ts";
import { ApiError } from "../api-error.ts";
import type { KubernetesLauncherSettings } from "../launcher-settings.ts";
import { jobManifest } from "../manifest.ts";
import { isLasting, reasonOf } from "../refused-pod.ts";
import { planRun, type OperatorFiles } from "../run-plan.ts";
import { may } from "./account.ts";

/** What of a profile goes into the pods of its runs. */
export interface ProfileToCheck {
  name: string;
  image: string | null;
  cpu: string | null;
  memory: string | null;
  credential: CredentialSource;
  podTemplate: unknown;
  /** What its agents are given; missing: nothing. */
  secrets?: ProfileSecrets;
}

/** A run of no task: the values are as long as real ones. */
export function sampleSpec(profile: ProfileToCheck, id: string): LaunchSpec {
  const { image, cpu, memory, credential, podTemplate } = profile;
  return {
    runId: id,
    taskId: id,
    attempt: 1,
    addressee: "doctor",
    jobName: `task-${id}-1`,
    token: "0".repeat(128),
    repoUrl: null,
    deadlineSeconds: 7_200,
    credential,
    image,
    cpu,
    memory,
    profile: profile.name,
    podTemplate,
  };
}

const ID = "00000000-0000-4000-8000-000000000000";

/** @throws ApiError where the server neither says yes nor no */
export async function checkPods(
  api: Api,
  profiles: readonly ProfileToCheck[],
  { settings, files }: { settings: KubernetesLauncherSettings; files: OperatorFiles },
): Promise<Check[]> {
  if (!(await may(api, { verb: "create", group: "batch", resource: "jobs" }))) {
    return [unknown("pods", "whether the API server takes a run's Job: this login may not make any", null)];
  }
  const mayMakePods = await may(api, { verb: "create", group: "", resource: "pods" });
  const checks: Check[] = [];
  for (const profile of profiles) {
    checks.push(...(await checkProfile(api, profile, { settings, files, mayMakePods })));
  }
  if (checks.length === 0) {
    const what = mayMakePods ? "the Job and the pod" : "the Job";
    checks.push(
      ok("pods", `the API server takes ${what} of a run, for ${countOf(profiles.length)} (nothing was made)`),
    );
  }
  if (!mayMakePods) {
    const message =
      "whether a quota, a limit range or another rule refuses runs' pods: this login makes no pods itself";
    checks.push(unknown("pod rules", message, "myzel doctor --try-pod, or with a login that may create pods"));
  }
  return checks;
}

interface Judged {
  settings: KubernetesLauncherSettings;
  files: OperatorFiles;
  mayMakePods: boolean;
}

/** What is wrong with the pods of one profile; nothing where nothing is. */
async function checkProfile(api: Api, profile: ProfileToCheck, judged: Judged): Promise<Check[]> {
  const name = `profile ${profile.name}`;
  let job: V1Job;
  try {
    job = jobManifest(planRun(sampleSpec(profile, ID), judged.settings, judged.files));
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    // A credential of another kind is told where credentials are.
    if (error.code !== "pod_refused") return [];
    return [
      problem(
        name,
        error.message,
        `update its pod_template: update profiles set pod_template = … where name = '${profile.name}'`,
      ),
    ];
  }
  const jobRefusal = await refusalOf(api, `/apis/batch/v1/namespaces/${api.namespace}/jobs`, job);
  if (jobRefusal !== null) return [checkOfRefusal(name, "Job", jobRefusal)];
  if (!judged.mayMakePods) return [];
  const { template } = job.spec ?? {};
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...template?.metadata, generateName: "myzel-doctor-" } };
  const podRefusal = await refusalOf(api, `/api/v1/namespaces/${api.namespace}/pods`, { ...pod, spec: template?.spec });
  return podRefusal === null ? [] : [checkOfRefusal(name, "pod", podRefusal)];
}

/** Why the server would not make it; null: it would. @throws ApiError without an answer */
async function refusalOf(api: Api, path: string, body: object): Promise<string | null> {
  try {
    await api.request({ method: "POST", path, query: { dryRun: "All" }, body });
    return null;
  } catch (error) {
    if (error instanceof ApiError && error.status !== null && error.status !== 429) return error.message;
    throw error;
  }
}

function checkOfRefusal(name: string, what: string, message: string): Check {
  const why = reasonOf(message);
  if (!isLasting(message) && /quota/.test(message)) {
    return warning(name, `a run would wait now: ${why}`, "raise the quota, or wait for other pods to end");
  }
  const mend = "change the profile (image, cpu, memory, pod_template) or the rule that says no";
  return problem(name, `the cluster refuses the ${what} of its runs: ${why}`, mend);
}

function countOf(profiles: number): string {
  return profiles === 1 ? "one profile" : `all ${profiles} profiles`;
}
