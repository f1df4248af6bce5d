import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createSeenObjects } from "../../engine/launch/kubernetes/seen-objects.ts";
import { seenJob, seenPod } from "../../engine/launch/kubernetes/seen.ts";
import { job, SPEC } from "./kubernetes-support.ts";

const picture = () => {
  const changed: (string | null)[] = [];
  const objects = createSeenObjects<ReturnType<typeof job>>(
    ({ name }) => name,
    (runId) => changed.push(runId),
  );
  return {
    objects,
    changed,
    changes: () => changed.length,
    versions: () => [...objects.all()].map(({ version }) => version),
  };
};

describe("the picture of objects", () => {
  it("keeps the newest version, in whatever order versions come and how often", () => {
    const { objects, versions, changes } = picture();
    objects.changed(job({ version: 5, suspended: true }));
    objects.changed(job({ version: 3 }));
    objects.changed(job({ version: 5 }));
    assert.deepEqual([versions(), changes()], [[5], 1]);
  });

  it("wakes nobody where only the version has changed", () => {
    const { objects, versions, changes } = picture();
    objects.changed(job({ version: 1 }));
    objects.changed(job({ version: 2 }));
    assert.deepEqual([versions(), changes()], [[2], 1]);
  });

  it("does not bring back what is gone, however late the answer comes", () => {
    const { objects, versions } = picture();
    objects.changed(job({ version: 1 }));
    objects.removed(job({ version: 4 }));
    objects.changed(job({ version: 2 }));
    assert.deepEqual(versions(), []);
    assert.deepEqual(objects.ofJob(SPEC.jobName), []);
  });

  it("a list takes away what it does not hold, but not what was made while it was read", () => {
    const { objects } = picture();
    objects.changed(job({ uid: "old", version: 1 }));
    objects.changed(job({ uid: "kept", version: 2 }));
    objects.changed(job({ uid: "new", version: 9 }));
    objects.listed([job({ uid: "kept", version: 2 })], 5);
    assert.deepEqual(
      [...objects.all()].map(({ uid }) => uid),
      ["kept", "new"],
    );
    assert.deepEqual(
      objects.ofJob(SPEC.jobName).map(({ uid }) => uid),
      ["kept", "new"],
    );
  });

  it("says which run has changed, and of a list that anything has", () => {
    const { objects, changed } = picture();
    objects.changed(job({ uid: "a", runId: "one", version: 1 }));
    objects.changed(job({ uid: "b", runId: "two", version: 2 }));
    objects.removed(job({ uid: "a", runId: "one", version: 3 }));
    objects.listed([job({ uid: "b", runId: "two", version: 2 })], 3);
    objects.listed([], 4);
    assert.deepEqual(changed, ["one", "two", "one", null]);
  });

  it("finds what belongs to a run, in its newest version", () => {
    const { objects } = picture();
    objects.changed(job({ uid: "a", runId: "one", version: 1, suspended: true }));
    objects.changed(job({ uid: "b", runId: "two", version: 2 }));
    objects.changed(job({ uid: "a", runId: "one", version: 3 }));
    const found = objects.ofRun("one").map(({ uid, version }) => [uid, version]);
    assert.deepEqual([found, objects.ofRun("three")], [[["a", 3]], []]);
    objects.removed(job({ uid: "a", runId: "one", version: 4 }));
    assert.deepEqual(objects.ofRun("one"), []);
  });

  it("an object whose labels were taken off and put back is there again with the next list", () => {
    const { objects, versions } = picture();
    objects.changed(job({ version: 1 }));
    objects.removed(job({ version: 2 }));
    objects.listed([job({ version: 3 })], 4);
    assert.deepEqual(versions(), [3]);
  });
});

describe("what is kept of the API's objects", () => {
  it("of a Job and a pod that have just been made", () => {
    const metadata = {
      uid: "u",
      name: "n",
      resourceVersion: "7",
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { "myzel.dev/run": "r", "batch.kubernetes.io/job-name": "j" },
    };
    assert.deepEqual(seenJob({ metadata, spec: {} }), {
      uid: "u",
      name: "n",
      runId: "r",
      version: 7,
      createdAt: Date.parse("2026-01-01T00:00:00Z"),
      deletedAt: null,
      suspended: false,
      finished: null,
      givenUp: null,
    });
    const pod = seenPod({ metadata, spec: {} });
    assert.deepEqual([pod.jobName, pod.phase, pod.nodeName, pod.containers], ["j", "Pending", null, []]);
  });

  it("a deletion counts from when it was asked for, not from the end of its grace", () => {
    const metadata = {
      uid: "u",
      name: "n",
      resourceVersion: "7",
      creationTimestamp: "2026-01-01T00:00:00Z",
      deletionTimestamp: "2026-01-01T00:01:00Z",
      deletionGracePeriodSeconds: 30,
    };
    assert.equal(seenPod({ metadata, spec: {} }).deletedAt, Date.parse("2026-01-01T00:00:30Z"));
  });

  it("a pod that has a node wants no room, whatever the scheduler said of it", () => {
    const metadata = { uid: "u", name: "n", resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z" };
    const conditions = [{ type: "PodScheduled", status: "False", message: "0/3 nodes are available" }];
    const wantsRoom = (spec: { nodeName?: string }) =>
      seenPod({ metadata, spec, status: { conditions } }).unschedulable;
    assert.deepEqual([wantsRoom({}), wantsRoom({ nodeName: "node-1" })], ["0/3 nodes are available", null]);
  });
});
