import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { jobSelectorOf, labelsOf, labelValue } from "../../engine/launch/kubernetes/labels.ts";
import { SPEC } from "./kubernetes-support.ts";

const VALID = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

describe("the labels of a run", () => {
  it("name task, run, attempt, addressee, role and cluster", () => {
    const labels = labelsOf({ ...SPEC, role: "red" }, "myzel");
    assert.equal(labels["myzel.dev/run"], SPEC.runId);
    assert.equal(labels["myzel.dev/task"], SPEC.taskId);
    assert.equal(labels["myzel.dev/attempt"], "3");
    assert.equal(labels["myzel.dev/role"], "red");
    assert.equal(labels["myzel.dev/cluster"], "shop");
    assert.match(labels["myzel.dev/addressee"] ?? "", /^shop-reviewer-[0-9a-f]{12}$/);
  });

  it("an addressee that is a valid label value stays as it is", () => {
    assert.equal(labelValue("project-mgr-webapp"), "project-mgr-webapp");
  });

  it("whatever an addressee is, its label is valid, and different ones stay different", () => {
    const texts = ["a/b", "a b", "-", "", "ü", "x".repeat(200), `${"x".repeat(199)}y`, "a/", "/a", ".a.", "\n", "a_"];
    const values = texts.map(labelValue);
    for (const value of values) assert.match(value, VALID);
    assert.equal(new Set(values).size, texts.length);
  });

  it("a job is found by the name it was launched under", () => {
    const selector = jobSelectorOf("myzel", SPEC.jobName);
    assert.ok(selector.endsWith(`myzel.dev/task=${SPEC.taskId},myzel.dev/attempt=3`));
    assert.match(jobSelectorOf("myzel", "somebody's"), /task=none/);
  });
});
