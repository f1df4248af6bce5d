import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseObjects } from "../../engine/launch/kubernetes/parse-objects.ts";

const managedFields = [
  { manager: "kube-controller-manager", fieldsV1: { "f:metadata": { "f:labels": { ".": {} } } } },
  { manager: "kubelet", fieldsV1: { "f:env": { 'k:{"name":"A}]},"}': { ".": {} } } } },
];
const pod = (name: string, more: object = {}) => ({
  metadata: { name, labels: { a: "}]}" }, ...more },
  spec: { nodeName: "n" },
});

describe("the API server's JSON", () => {
  it("is read as it is, but for who wrote which field", () => {
    const event = { type: "ADDED", object: pod("one", { managedFields }) };
    assert.deepEqual(parseObjects(JSON.stringify(event)), { type: "ADDED", object: pod("one") });
  });
  it("is a list as well as one object", () => {
    const items = [pod("one", { managedFields }), pod("two"), pod("three", { managedFields })];
    assert.deepEqual(parseObjects(JSON.stringify({ items })), { items: [pod("one"), pod("two"), pod("three")] });
  });
  it("is read in full where a name looks like the end of the list", () => {
    const odd = pod("one", { managedFields: [{ manager: "x}]},", fieldsV1: {} }] });
    assert.deepEqual(parseObjects(JSON.stringify(odd)), odd);
  });
  it("is read in full where metadata is the last field", () => {
    const odd = { spec: {}, metadata: { name: "one", managedFields } };
    assert.deepEqual(parseObjects(JSON.stringify(odd)), odd);
  });
});
