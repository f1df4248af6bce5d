import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { V1Container } from "@kubernetes/client-node";
import { LaunchError, type SecretSource } from "../../engine/launch/launcher.ts";
import { podSecretName } from "../../engine/launch/kubernetes/launcher-settings.ts";
import { jobManifest } from "../../engine/launch/kubernetes/manifest.ts";
import { parsePodTemplate } from "../../engine/launch/kubernetes/pod-template.ts";
import type { RunPlan } from "../../engine/launch/kubernetes/phase-containers.ts";
import { planRun } from "../../engine/launch/kubernetes/run-plan.ts";
import { SETTINGS, SPEC, TOKEN } from "./kubernetes-support.ts";

const PLAN: RunPlan = {
  spec: SPEC,
  settings: SETTINGS,
  template: {},
  gitSecret: { kind: "https", name: "github-acme" },
  claudeSecret: { name: "myzel-claude", key: "token" },
};

const podOf = (plan: Partial<RunPlan> = {}) => {
  const spec = jobManifest({ ...PLAN, ...plan }).spec?.template.spec;
  assert.ok(spec);
  return spec;
};
const phasesOf = (plan: Partial<RunPlan> = {}): Record<string, V1Container> => {
  const { initContainers = [], containers } = podOf(plan);
  return Object.fromEntries([...initContainers, ...containers].map((one) => [one.name, one]));
};
const variablesOf = (phase: string, plan: Partial<RunPlan> = {}) =>
  phasesOf(plan)[phase]?.env?.map(({ name }) => name) ?? [];

describe("the Job of a run", () => {
  it("is named after task and attempt, starts one pod at most and goes by itself after a day", () => {
    const { metadata, spec } = jobManifest(PLAN);
    assert.equal(metadata?.name, SPEC.jobName);
    assert.deepEqual(
      [spec?.backoffLimit, spec?.completions, spec?.parallelism, spec?.podReplacementPolicy],
      [0, 1, 1, "Failed"],
    );
    assert.equal(spec?.podFailurePolicy, undefined);
    assert.equal(spec?.activeDeadlineSeconds, undefined);
    assert.equal(spec?.ttlSecondsAfterFinished, 86_400);
    assert.equal(podOf().activeDeadlineSeconds, 9_000);
    assert.equal(podOf().restartPolicy, "Never");
  });

  it("runs the phases one after the other over one workspace of bounded size", () => {
    const { initContainers, containers, volumes } = podOf();
    assert.deepEqual(
      initContainers?.map(({ name }) => name),
      ["checkout", "agent"],
    );
    assert.deepEqual(
      containers.map(({ name }) => name),
      ["publish"],
    );
    assert.deepEqual(volumes?.find(({ name }) => name === "workspace")?.emptyDir, { sizeLimit: "10Gi" });
    for (const phase of Object.values(phasesOf())) {
      assert.ok(phase.volumeMounts?.some(({ mountPath }) => mountPath === "/workspace"));
    }
  });

  it("meets the restricted standard and gives no phase a login to the cluster", () => {
    const spec = podOf();
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(spec.enableServiceLinks, false);
    assert.equal(spec.securityContext?.runAsNonRoot, true);
    assert.equal(spec.securityContext?.runAsUser, 1000);
    assert.equal(spec.securityContext?.seccompProfile?.type, "RuntimeDefault");
    for (const { securityContext, resources } of Object.values(phasesOf())) {
      assert.deepEqual(securityContext, {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
        readOnlyRootFilesystem: true,
      });
      assert.deepEqual(resources, {
        limits: { cpu: "2", memory: "4Gi", "ephemeral-storage": "10Gi" },
        requests: { cpu: "500m", memory: "4Gi", "ephemeral-storage": "100Mi" },
      });
    }
  });

  it("holds no secret: neither the token nor the half that makes it one, nor the database's password", () => {
    const text = JSON.stringify(jobManifest(PLAN));
    assert.ok(!text.includes(TOKEN.shared));
    assert.ok(!text.includes("db-password"));
    assert.ok(text.includes(`${TOKEN.own}$(MYZEL_TOKEN_HALF)`));
  });

  it("gives the agent the Claude login and no other", () => {
    const names = variablesOf("agent");
    assert.ok(names.includes("CLAUDE_CODE_OAUTH_TOKEN"));
    for (const name of names) assert.doesNotMatch(name, /TOKEN_HALF|RUN_TOKEN|DATABASE|GIT|BOUND/);
    const mounts = phasesOf({ gitSecret: { kind: "ssh", name: "key" } })["agent"]?.volumeMounts;
    assert.deepEqual(mounts?.map(({ name }) => name).toSorted(), ["stop-request", "tmp", "workspace"]);
  });

  it("shows agent and publish the one annotation that stops them, in a file they cannot write", () => {
    const fieldPath = "metadata.annotations['myzel.dev/stop']";
    assert.deepEqual(podOf().volumes?.find(({ name }) => name === "stop-request")?.downwardAPI, {
      items: [{ path: "at", fieldRef: { fieldPath } }],
    });
    const annotations = jobManifest(PLAN).spec?.template.metadata?.annotations;
    assert.equal(annotations?.["myzel.dev/stop"], undefined, "no run begins stopped");
    for (const phase of ["agent", "publish"]) {
      const { env, volumeMounts } = phasesOf()[phase] ?? {};
      assert.deepEqual(
        volumeMounts?.find(({ name }) => name === "stop-request"),
        { name: "stop-request", mountPath: "/run/myzel/stop", readOnly: true },
      );
      assert.equal(env?.find(({ name }) => name === "MYZEL_STOP_FILE")?.value, "/run/myzel/stop/at");
    }
    assert.ok(!variablesOf("checkout").includes("MYZEL_STOP_FILE"));
  });

  it("gives checkout and publish token, database and git login, and the Claude login to publish alone", () => {
    for (const phase of ["checkout", "publish"]) {
      const names = variablesOf(phase);
      for (const name of ["MYZEL_RUN_TOKEN", "MYZEL_DATABASE_URL", "MYZEL_BOUND_TO", "MYZEL_GIT_PASSWORD"]) {
        assert.ok(names.includes(name), `${phase}: ${name}`);
      }
      assert.ok(
        names.indexOf("MYZEL_TOKEN_HALF") < names.indexOf("MYZEL_RUN_TOKEN"),
        "put together from what is before it",
      );
    }
    assert.ok(!variablesOf("checkout").includes("CLAUDE_CODE_OAUTH_TOKEN"));
    assert.ok(variablesOf("publish").includes("CLAUDE_CODE_OAUTH_TOKEN"));
  });

  it("gives the profile's secrets to agent and publish, by reference", () => {
    const secrets = { NPM_TOKEN: { secret_name: "npm", secret_key: "token" } };
    const plan = planRun({ ...SPEC, profile: "red", secrets }, SETTINGS, { template: {}, gitSecrets: [] });
    for (const phase of ["agent", "publish"]) {
      const found = phasesOf(plan)[phase]?.env?.filter(({ name }) => name.includes("NPM"));
      assert.deepEqual(found, [
        { name: "MYZEL_SECRET_NPM_TOKEN", valueFrom: { secretKeyRef: { name: "npm", key: "token" } } },
      ]);
    }
    assert.ok(!variablesOf("checkout", plan).some((name) => name.includes("NPM")));
  });

  it("refuses secrets that no pod can have, or no agent may", () => {
    const refused = (source: SecretSource, sentence: RegExp) =>
      assert.throws(
        () =>
          planRun({ ...SPEC, profile: "red", secrets: { NPM_TOKEN: source } }, SETTINGS, {
            template: {},
            gitSecrets: [],
          }),
        (error) => {
          assert.ok(error instanceof LaunchError);
          assert.equal(error.code, "pod_refused");
          assert.match(error.message, sentence);
          return true;
        },
      );
    refused(
      { env_var: "NPM" },
      /^The secret NPM_TOKEN of the profile "red" lies in a variable .* secret_key in profiles/,
    );
    refused({ file_path: "/npm" }, /^The secret NPM_TOKEN of the profile "red" lies in a file/);
    refused({ secret_name: podSecretName(SETTINGS.instance), secret_key: "database-url" }, /no agent may have it/);
  });

  it("keeps publish's own directory and HOME out of the agent's reach", () => {
    const env = Object.fromEntries(phasesOf()["publish"]?.env?.map(({ name, value }) => [name, value]) ?? []);
    assert.deepEqual([env["HOME"], env["MYZEL_PRIVATE_DIR"]], ["/private", "/private"]);
    const holders = Object.values(phasesOf()).filter((one) => one.volumeMounts?.some(({ name }) => name === "private"));
    assert.deepEqual(
      holders.map(({ name }) => name),
      ["publish"],
    );
  });

  it("mounts a deploy key for checkout and publish, with the hosts that are believed", () => {
    const plan = { gitSecret: { kind: "ssh" as const, name: "acme-key" } };
    for (const phase of ["checkout", "publish"]) {
      assert.ok(phasesOf(plan)[phase]?.volumeMounts?.some(({ mountPath }) => mountPath === "/run/myzel/git"));
      const ssh = phasesOf(plan)[phase]?.env?.find(({ name }) => name === "GIT_SSH_COMMAND")?.value ?? "";
      assert.match(ssh, /StrictHostKeyChecking=yes .*known_hosts/);
    }
  });

  it("mounts a login that is a directory instead of giving a token", () => {
    const plan = { claudeSecret: { name: "login", key: ".credentials.json" } };
    for (const phase of ["agent", "publish"]) {
      assert.ok(variablesOf(phase, plan).includes("MYZEL_CLAUDE_DIR"));
      assert.ok(!variablesOf(phase, plan).includes("CLAUDE_CODE_OAUTH_TOKEN"));
    }
    assert.ok(!phasesOf(plan)["checkout"]?.volumeMounts?.some(({ name }) => name === "claude-login"));
  });

  it("takes image, cpu and memory of the profile", () => {
    const phase = phasesOf({ spec: { ...SPEC, image: "other:2", cpu: "250m", memory: "1Gi" } })["agent"];
    assert.equal(phase?.image, "other:2");
    assert.deepEqual(phase?.resources?.requests, { cpu: "63m", memory: "1Gi", "ephemeral-storage": "100Mi" });
  });

  it("takes what the operator adds, onto the Job too, and keeps its own labels", () => {
    const template = parsePodTemplate({
      metadata: { labels: { "kueue.x-k8s.io/queue-name": "agents" }, annotations: { team: "a" } },
      spec: {
        nodeSelector: { pool: "agents" },
        tolerations: [{ key: "agents", operator: "Exists" }],
        imagePullSecrets: [{ name: "registry" }],
        priorityClassName: "low",
        runtimeClassName: "gvisor",
        volumes: [{ name: "cache", persistentVolumeClaim: { claimName: "npm" } }],
        volumeMounts: [{ phase: "agent", name: "cache", mountPath: "/cache", readOnly: true }],
        env: [{ phase: "checkout", name: "HTTPS_PROXY", value: "http://proxy:3128" }],
      },
    });
    const { metadata, spec } = jobManifest({ ...PLAN, template });
    assert.equal(metadata?.labels?.["kueue.x-k8s.io/queue-name"], "agents");
    assert.equal(metadata?.labels?.["myzel.dev/run"], SPEC.runId);
    assert.equal(spec?.template.metadata?.labels?.["kueue.x-k8s.io/queue-name"], "agents");
    const pod = podOf({ template });
    assert.deepEqual(pod.nodeSelector, { pool: "agents" });
    assert.equal(pod.runtimeClassName, "gvisor");
    assert.ok(pod.volumes?.some(({ name }) => name === "cache"));
    const holders = Object.values(phasesOf({ template })).filter((one) =>
      one.volumeMounts?.some(({ name }) => name === "cache"),
    );
    assert.deepEqual(
      holders.map(({ name }) => name),
      ["agent"],
    );
    assert.ok(!("volumeMounts" in pod) && !("env" in pod));
    assert.ok(variablesOf("checkout", { template }).includes("HTTPS_PROXY"));
    assert.ok(!variablesOf("agent", { template }).includes("HTTPS_PROXY"));
  });
});
