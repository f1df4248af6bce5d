/** Asks the API server for our Jobs and pods: for all of them, for those of some runs, or of one Job. */
import type { Api } from "./api.ts";
import { jobSelectorOf, runSelectorOf, selectorOf } from "./labels.ts";
import { listObjects, type ObjectKind } from "./list-objects.ts";
import { seenJob, seenPod, type JobJson, type PodJson, type SeenJob, type SeenPod } from "./seen.ts";

export interface Asked {
  jobs: SeenJob[];
  pods: SeenPod[];
}

/** Each throws ApiError where the server does not answer. */
export interface Asker {
  all(): Promise<Asked>;
  runs(runIds: readonly string[]): Promise<Asked>;
  job(jobName: string): Promise<Asked>;
}

/** For more runs than these, one list is cheaper than asking for each. */
const ASK_SINGLY = 20;

export interface Kinds {
  jobs: ObjectKind<SeenJob>;
  pods: ObjectKind<SeenPod>;
}

export function kindsIn(namespace: string): Kinds {
  return {
    jobs: {
      name: "jobs",
      path: `/apis/batch/v1/namespaces/${namespace}/jobs`,
      keep: (json) => seenJob(json as JobJson),
    },
    pods: { name: "pods", path: `/api/v1/namespaces/${namespace}/pods`, keep: (json) => seenPod(json as PodJson) },
  };
}

export function createAsker(api: Api, instance: string, kinds: Kinds): Asker {
  /** Jobs before pods: a pod that is made in between belongs to a Job that is seen. */
  const ask = async (selector: string): Promise<Asked> => {
    const jobs = await listObjects(api, kinds.jobs, { selector });
    const pods = await listObjects(api, kinds.pods, { selector });
    return { jobs: jobs.objects, pods: pods.objects };
  };
  const all = () => ask(selectorOf(instance));
  return {
    all,
    runs: async (runIds) => {
      if (runIds.length > ASK_SINGLY) return await all();
      const answers = await Promise.all(runIds.map((runId) => ask(runSelectorOf(instance, runId))));
      return { jobs: answers.flatMap(({ jobs }) => jobs), pods: answers.flatMap(({ pods }) => pods) };
    },
    job: (jobName) => ask(jobSelectorOf(instance, jobName)),
  };
}
