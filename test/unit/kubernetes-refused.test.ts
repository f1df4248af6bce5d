import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { observeRun, shouldHavePod, type SeenRun } from "../../engine/launch/kubernetes/observe-run.ts";
import type { Api, ApiRequest } from "../../engine/launch/kubernetes/api.ts";
import { ApiError } from "../../engine/launch/kubernetes/api-error.ts";
import { createPodRefusals, isLasting, problemOfRefusals } from "../../engine/launch/kubernetes/refused-pod.ts";
import { job, NOW, pod, SPEC } from "./kubernetes-support.ts";

const NAME = `pods "${SPEC.jobName}-abcde" is forbidden:`;
const QUOTA = `Error creating: ${NAME} exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4`;
const SECURITY = `Error creating: ${NAME} violates PodSecurity "restricted:latest": privileged`;

describe("a no of the cluster to a pod", () => {
  const passing = [
    QUOTA,
    `Error creating: ${NAME} status unknown for quota: small, resources: pods`,
    'Error creating: Internal error occurred: failed calling webhook "a.b.c": no endpoints available',
    `Error creating: ${NAME} error looking up service account a/default: serviceaccount "default" not found`,
    "Error creating: the server was unable to return a response in the time allotted",
  ];
  const lasting = [
    SECURITY,
    `Error creating: ${NAME} maximum cpu usage per Container is 1, but limit is 2`,
    `Error creating: ${NAME} failed quota: strict: must specify limits.nvidia.com/gpu`,
    'Error creating: admission webhook "policy.acme.com" denied the request: no label "team"',
    `Error creating: Pod "x" is invalid: spec.containers[0].image: Required value`,
    `Error creating: ${NAME} pod rejected: RuntimeClass "gvisor" not found`,
  ];
  for (const message of passing) it(`passes: ${message}`, () => assert.equal(isLasting(message), false));
  for (const message of lasting) it(`lasts: ${message}`, () => assert.equal(isLasting(message), true));

  it("is told without what all have in common; combined ones too", () => {
    const told = (message: string) => problemOfRefusals([{ message, firstMs: 1, lastMs: 2 }])?.sentence;
    const sentence =
      "The cluster does not take its pod yet: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4.";
    assert.equal(told(QUOTA), sentence);
    assert.equal(told(`(combined from similar events): ${QUOTA}`), sentence);
    assert.equal(
      told(SECURITY),
      `The cluster refuses the run's pod: violates PodSecurity "restricted:latest": privileged.`,
    );
  });

  it("the newest counts, and since when its sort was said", () => {
    const quota = { message: QUOTA, firstMs: NOW - 9_000, lastMs: NOW };
    const old = { message: SECURITY, firstMs: NOW - 60_000, lastMs: NOW - 50_000 };
    const first = { message: SECURITY, firstMs: NOW - 70_000, lastMs: NOW - 65_000 };
    assert.equal(problemOfRefusals([]), null);
    assert.equal(problemOfRefusals([quota, old])?.givenUp, undefined);
    const lasting = problemOfRefusals([{ ...old, lastMs: NOW + 1 }, quota, first]);
    assert.deepEqual([lasting?.givenUp?.code, lasting?.sinceMs], ["pod_refused", NOW - 70_000]);
  });
});

describe("a run without a pod", () => {
  const run = (given: Partial<SeenRun> = {}): SeenRun => ({ runId: SPEC.runId, job: job(), pods: [], ...given });
  const lasting = problemOfRefusals([{ message: SECURITY, firstMs: NOW - 20_000, lastMs: NOW }]);
  const quota = problemOfRefusals([{ message: QUOTA, firstMs: 0, lastMs: NOW }]);

  it("is asked about unless it has a reason of its own to have none", () => {
    assert.equal(shouldHavePod(run(), NOW), true);
    assert.equal(shouldHavePod(run({ job: job({ createdAt: NOW - 1_000 }) }), NOW), false);
    assert.equal(shouldHavePod(run({ job: job({ suspended: true }) }), NOW), false);
    assert.equal(shouldHavePod(run({ job: job({ deletedAt: NOW }) }), NOW), false);
    assert.equal(shouldHavePod(run({ pods: [pod()] }), NOW), false);
    assert.equal(shouldHavePod(run({ job: null, pods: [pod()] }), NOW), false);
  });

  it("is given up once the set time has passed since the refusal, and a quota is waited for", () => {
    const look = (stuckAfterMs: number, refusal = lasting) => observeRun(run(), NOW, { stuckAfterMs }, refusal);
    assert.equal(look(20_000).hopeless, null);
    assert.equal(look(19_999).hopeless?.code, "pod_refused");
    assert.equal(look(19_999).observation.state, "starting");
    assert.equal(look(1, quota).hopeless, null);
    assert.match(look(1, quota).observation.waiting ?? "", /exceeded quota/);
  });

  it("that was given up has ended when its Job has failed, with the reason and not with the deadline", () => {
    const givenUp = JSON.stringify(lasting?.givenUp);
    const patience = { stuckAfterMs: 1 };
    assert.equal(observeRun(run({ job: job({ givenUp }) }), NOW, patience).observation.state, "starting");
    const finished = { as: "Failed" as const, reason: "DeadlineExceeded", message: "" };
    const { observation } = observeRun(run({ job: job({ givenUp, finished }) }), NOW, patience);
    assert.equal(observation.end?.infrastructure?.code, "pod_refused");
    assert.equal(observation.end?.deadlineExceeded, false);
  });
});

describe("the events of Jobs", () => {
  const event = (uid: string, message: string) => ({ involvedObject: { uid }, message, lastTimestamp: "2026-01-01" });
  function apiWith(pages: (object | ApiError)[]) {
    const asked: ApiRequest[] = [];
    const request = async (one: ApiRequest) => {
      asked.push(one);
      const page = pages.shift();
      if (page instanceof ApiError) throw page;
      return page;
    };
    return { asked, refusals: createPodRefusals({ namespace: "n", request } as unknown as Api) };
  }

  it("are read page by page, only for Jobs without a pod, and not at every look", async () => {
    const { asked, refusals } = apiWith([
      { items: [event("other", SECURITY)], metadata: { continue: "next" } },
      { items: [event("job-uid", QUOTA)], metadata: {} },
      { items: [], metadata: {} },
    ]);
    assert.equal((await refusals.of([], NOW)).size, 0);
    assert.equal(asked.length, 0);
    const first = await refusals.of([job()], NOW);
    assert.match(first.get("job-uid")?.sentence ?? "", /exceeded quota/);
    assert.equal(first.size, 1);
    assert.deepEqual([asked.length, asked[1]?.query?.["continue"]], [2, "next"]);
    await refusals.of([job()], NOW + 1_000);
    assert.equal(asked.length, 2);
    // The API server has forgotten them.
    assert.equal((await refusals.of([job()], NOW + 60_000)).size, 1);
    assert.equal(asked.length, 3);
  });

  it("are known of every Job, whichever are asked about in between", async () => {
    const { asked, refusals } = apiWith([
      { items: [event("job-uid", QUOTA), event("other", SECURITY)], metadata: {} },
      { items: [], metadata: {} },
    ]);
    const other = job({ uid: "other" });
    assert.equal((await refusals.of([job(), other], NOW)).size, 2);
    assert.equal((await refusals.of([other], NOW + 1_000)).size, 1);
    assert.match((await refusals.of([job()], NOW + 2_000)).get("job-uid")?.sentence ?? "", /exceeded quota/);
    assert.equal((await refusals.of([other, job()], NOW + 60_000)).size, 2);
    assert.equal(asked.length, 2);
  });

  it("that may not be read are not asked for again soon; a server that is away changes nothing", async () => {
    const away = new ApiError({ status: null, message: "away" });
    const forbidden = new ApiError({ status: 403, message: "no" });
    const { asked, refusals } = apiWith([away, forbidden, forbidden]);
    for (const at of [0, 6_000, 60_000]) assert.equal((await refusals.of([job()], NOW + at)).size, 0);
    assert.equal(asked.length, 2);
  });
});
