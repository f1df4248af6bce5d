/** What the trial pods tell: whether each image can be had, and what a run can reach. */
import { randomUUID } from "node:crypto";
import { ok, problem, unknown, warning, type Check } from "../../../check.ts";
import { LaunchError } from "../../launcher.ts";
import type { Api } from "../api.ts";
import { ApiError } from "../api-error.ts";
import type { KubernetesLauncherSettings } from "../launcher-settings.ts";
import type { OperatorFiles } from "../run-plan.ts";
import { sampleSpec, type ProfileToCheck } from "./dry-run.ts";
import { noPolicy } from "./network.ts";
import { tryPod, type TrialEnd } from "./trial-pod.ts";
import { parseTrialReport, trialScript, type TrialReport } from "./trial-script.ts";

const MODEL = "https://api.anthropic.com";

export interface TrialOptions {
  settings: KubernetesLauncherSettings;
  files: OperatorFiles;
  timeoutMs: number;
  /** Names of the policies that cover runs; null: not known. */
  policies: readonly string[] | null;
}

/** One pod for each image that runs would use, at the same time. Takes them away again. */
export async function checkByPods(
  api: Api,
  profiles: readonly ProfileToCheck[],
  options: TrialOptions,
): Promise<Check[]> {
  const { settings } = options;
  const model = new URL(settings.modelBaseUrl ?? MODEL);
  const byImage = Map.groupBy(profiles, ({ image }) => image ?? settings.workerImage);
  const tried = await Promise.all(
    [...byImage].map(async ([image, users]) => ({ image, end: await tryFirst(api, users, { ...options, model }) })),
  );
  const trials = tried.flatMap(({ image, end }) => (end === null ? [] : [{ image, end }]));
  const reports = trials.map(({ end }) => parseTrialReport(end.message)).filter((report) => report !== null);
  return [
    ...trials.map(({ image, end }) => checkImage(image, end)),
    ...checkReport(reports[0] ?? null, { policies: options.policies, model }),
  ];
}

/** What keeps the pod from being made is a finding as any other. Null: no profile with this image has a pod at all. */
async function tryFirst(
  api: Api,
  profiles: readonly ProfileToCheck[],
  { model, ...options }: TrialOptions & { model: URL },
): Promise<TrialEnd | null> {
  for (const profile of profiles) {
    const spec = sampleSpec(profile, randomUUID());
    try {
      return await tryPod(api, { ...options, spec, script: trialScript(model) });
    } catch (error) {
      if (error instanceof LaunchError) continue;
      if (!(error instanceof ApiError)) throw error;
      return { problem: error.message, waits: false, message: "", node: null, seconds: 0 };
    }
  }
  return null;
}

function checkImage(image: string, { problem: why, waits, node, seconds }: TrialEnd): Check {
  const name = `image ${image}`;
  if (why === null) return ok(name, `pulled, started and ended on ${node ?? "a node"} within ${seconds} s`);
  if (waits) return unknown(name, why, "try again when there is room");
  return problem(
    name,
    why,
    "correct MYZEL_WORKER_IMAGE or the profile's image, or add imagePullSecrets to the pod template",
  );
}

/** Pure. */
export function checkReport(
  report: TrialReport | null,
  { policies, model }: { policies: readonly string[] | null; model: URL },
): Check[] {
  const name = "network policy";
  if (report === null) {
    return [policies?.length === 0 ? noPolicy() : unknown(name, "no trial pod has told anything of the network", null)];
  }
  const { api, apiAddress, names } = report;
  const checks: Check[] = [];
  if (policies?.length === 0) checks.push(noPolicy());
  else if (api === null) checks.push(unknown(name, "the pod was not told where the API server is", null));
  else if (api === "reached") {
    const mend = "use a network plugin that enforces NetworkPolicies, such as Calico or Cilium";
    checks.push(warning(name, `not enforced: a run's pod reaches the API server at ${apiAddress}`, mend));
  } else if (names === "reached" || report.model === "reached") {
    checks.push(ok(name, `enforced: a run's pod does not reach the API server at ${apiAddress} (${api})`));
  } else checks.push(unknown(name, "a run's pod reaches nothing at all, so nothing can be told of the policy", null));
  return [...checks, checkModel(report, model)];
}

function checkModel({ names, model: how }: TrialReport, model: URL): Check {
  const name = "model";
  if (how === "reached") return ok(name, `a run's pod reaches ${model.host}`);
  const mend = "let runs reach it: deploy/base/network-of-runs.yaml, or a proxy in the pod template";
  if (names !== "reached") return warning(name, `a run's pod cannot resolve ${model.hostname} (${names})`, mend);
  return warning(name, `a run's pod does not reach ${model.host} (${how})`, mend);
}
