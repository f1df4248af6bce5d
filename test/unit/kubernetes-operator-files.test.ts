import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gitSecretOf, parseGitSecrets } from "../../engine/launch/kubernetes/git-secrets.ts";
import { layOver, parsePodTemplate, readPodTemplate } from "../../engine/launch/kubernetes/pod-template.ts";

describe("the operator's pod template", () => {
  const refused: [string, unknown, RegExp][] = [
    ["the node's network", { hostNetwork: true }, /spec.hostNetwork is refused: it would weaken/],
    ["the node's processes", { hostPID: true }, /spec.hostPID is refused/],
    ["the node's IPC", { hostIPC: true }, /spec.hostIPC is refused/],
    ["another security context", { securityContext: { runAsUser: 0 } }, /spec.securityContext is refused/],
    ["a service account", { serviceAccountName: "admin" }, /serviceAccountName is refused: agents never talk/],
    ["its token", { automountServiceAccountToken: true }, /automountServiceAccountToken is refused/],
    ["shared processes", { shareProcessNamespace: true }, /publish would be within the agent's reach/],
    ["another container", { containers: [] }, /spec.containers is refused/],
    ["another deadline", { activeDeadlineSeconds: 1 }, /time_limit/],
    ["a restart", { restartPolicy: "Always" }, /restartPolicy is refused/],
    ["a directory of the node", { volumes: [{ name: "a", hostPath: { path: "/" } }] }, /hostPath is refused/],
    ["a projected token", { volumes: [{ name: "a", projected: { sources: [] } }] }, /projected is refused/],
    ["a volume of our name", { volumes: [{ name: "workspace", emptyDir: {} }] }, /"workspace" is taken/],
    ["a mount over the workspace", mount("/workspace/x"), /hide/],
    ["a mount over the phases", mount("/opt"), /hide/],
    ["a mount over everything", mount("/"), /hide/],
    ["a mount that climbs", mount("/cache/../opt/myzel"), /hide/],
    [
      "a variable of ours",
      { env: [{ phase: "agent", name: "MYZEL_RUN_TOKEN", value: "x" }] },
      /env.0.name: is none of/,
    ],
    ["a typing error", { nodeSelektor: {} }, /spec.nodeSelektor is refused: a template has no such field/],
  ];
  for (const [what, spec, sentence] of refused) {
    it(`is refused by name where it asks for ${what}`, () => assert.throws(() => parsePodTemplate({ spec }), sentence));
  }

  it("may not take our labels away", () => {
    const template = (labels: Record<string, string>) => () => parsePodTemplate({ metadata: { labels } });
    assert.throws(template({ "myzel.dev/run": "x" }), /belongs to the launcher/);
    assert.throws(template({ "app.kubernetes.io/managed-by": "x" }), /belongs to the launcher/);
    assert.throws(template({ "batch.kubernetes.io/job-name": "x" }), /belongs to the launcher/);
  });

  it("may not take a container's confinement away by an annotation", () => {
    const template = (key: string) => () => parsePodTemplate({ metadata: { annotations: { [key]: "unconfined" } } });
    assert.throws(
      template("container.apparmor.security.beta.kubernetes.io/agent"),
      /agent: is refused: it would weaken/,
    );
    assert.throws(template("seccomp.security.alpha.kubernetes.io/pod"), /pod: is refused: it would weaken/);
  });

  it("one laid over another: keys and names merge, tolerations add up, anything else replaces", () => {
    const lower = parsePodTemplate({
      metadata: { labels: { a: "1", b: "1" } },
      spec: {
        nodeSelector: { pool: "agents", zone: "a" },
        tolerations: [{ key: "agents" }],
        imagePullSecrets: [{ name: "registry" }],
        runtimeClassName: "gvisor",
        volumes: [{ name: "cache", emptyDir: {} }],
        volumeMounts: [{ phase: "agent", name: "cache", mountPath: "/cache" }],
        env: [{ phase: "agent", name: "HTTPS_PROXY", value: "http://one" }],
      },
    });
    const upper = parsePodTemplate({
      metadata: { labels: { b: "2" }, annotations: { c: "3" } },
      spec: {
        nodeSelector: { pool: "large" },
        tolerations: [{ key: "large" }],
        priorityClassName: "high",
        volumes: [{ name: "cache", persistentVolumeClaim: { claimName: "npm" } }],
        volumeMounts: [{ phase: "checkout", name: "cache", mountPath: "/cache" }],
        env: [{ phase: "agent", name: "HTTPS_PROXY", value: "http://two" }],
      },
    });
    assert.deepEqual(layOver(lower, upper), {
      metadata: { labels: { a: "1", b: "2" }, annotations: { c: "3" } },
      spec: {
        nodeSelector: { pool: "large", zone: "a" },
        tolerations: [{ key: "agents" }, { key: "large" }],
        imagePullSecrets: [{ name: "registry" }],
        runtimeClassName: "gvisor",
        priorityClassName: "high",
        volumes: [{ name: "cache", persistentVolumeClaim: { claimName: "npm" } }],
        volumeMounts: [
          { phase: "agent", name: "cache", mountPath: "/cache" },
          { phase: "checkout", name: "cache", mountPath: "/cache" },
        ],
        env: [{ phase: "agent", name: "HTTPS_PROXY", value: "http://two" }],
      },
    });
    assert.deepEqual(layOver({}, {}).spec, {});
    assert.deepEqual(layOver({}, upper).spec?.tolerations, [{ key: "large" }]);
  });

  it("names all mistakes at once", () => {
    assert.throws(
      () => parsePodTemplate({ spec: { hostPID: true, hostIPC: true }, x: 1 }),
      /hostPID.*hostIPC|x is refused.*hostPID/s,
    );
  });

  it("is read from YAML; an empty file adds nothing, a broken one is told with its path", () => {
    const directory = mkdtempSync(join(tmpdir(), "myzel-template-"));
    const path = join(directory, "pod.yaml");
    try {
      writeFileSync(path, "metadata:\n  labels: { a: b }\n");
      assert.deepEqual(readPodTemplate(path), { metadata: { labels: { a: "b" } } });
      writeFileSync(path, "");
      assert.deepEqual(readPodTemplate(path), {});
      writeFileSync(path, "a: [");
      assert.throws(
        () => readPodTemplate(path),
        (error: Error) => error.message.includes(path),
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  function mount(mountPath: string): unknown {
    return { volumeMounts: [{ phase: "agent", name: "a", mountPath }] };
  }
});

describe("the operator's git Secrets", () => {
  const rules = parseGitSecrets(
    `
- { repositories: "https://github.com/acme/*", secret: acme }
- { repositories: "https://github.com/acme/shop*", secret: shop }
- { repositories: "git@github.com:acme/*", secret: key }
`,
    "git.yaml",
  );

  it("the longest pattern that matches wins, and the address says what kind of login it is", () => {
    assert.deepEqual(gitSecretOf("https://github.com/acme/web.git", rules), { kind: "https", name: "acme" });
    assert.deepEqual(gitSecretOf("https://github.com/acme/shop.git", rules), { kind: "https", name: "shop" });
    assert.deepEqual(gitSecretOf("git@github.com:acme/web.git", rules), { kind: "ssh", name: "key" });
    assert.equal(gitSecretOf("https://github.com/other/web.git", rules), null);
    assert.equal(gitSecretOf("https://github.community/acme/web.git", rules), null);
    assert.equal(gitSecretOf(null, rules), null);
  });

  it("a * in a host reaches no further than the host: no path of a stranger's can look like it", () => {
    const wide = parseGitSecrets(
      `
- { repositories: "https://*.acme.dev/*", secret: acme }
- { repositories: "git@*.acme.dev:*", secret: key }
- { repositories: "http://10.0.0.1:*/*", secret: port }
- { repositories: "ssh://*@10.0.0.1:*/*", secret: user }
`,
      "git.yaml",
    );
    assert.deepEqual(gitSecretOf("https://git.acme.dev/web.git", wide), { kind: "https", name: "acme" });
    assert.deepEqual(gitSecretOf("git@git.acme.dev:team/web.git", wide), { kind: "ssh", name: "key" });
    assert.deepEqual(gitSecretOf("http://10.0.0.1:3000/web.git", wide), { kind: "https", name: "port" });
    assert.deepEqual(gitSecretOf("ssh://git@10.0.0.1:22/web.git", wide), { kind: "ssh", name: "user" });
    for (const url of [
      "http://10.0.0.1:x@evil.dev/web.git",
      "ssh://a@10.0.0.1:22@evil.dev/web.git",
      "https://evil.dev/x.acme.dev/web.git",
      "https://evil.dev?.acme.dev/web.git",
      "https://evil.dev#.acme.dev/web.git",
      "https://evil.dev\\.acme.dev/web.git",
      "https://evil.dev:443/.acme.dev/web.git",
      "git@evil.dev:x.acme.dev:web.git",
    ]) {
      assert.equal(gitSecretOf(url, wide), null, url);
    }
  });

  it("a pattern that leaves the host open is refused", () => {
    for (const pattern of ["*", "https://*", "https://github.com*", "git@github.com*", "https://*/acme/*"]) {
      const text = JSON.stringify([{ repositories: pattern, secret: "acme" }]);
      assert.throws(() => parseGitSecrets(text, "git.yaml"), /names no host/, pattern);
    }
  });

  it("a file of another shape is refused with its path and place", () => {
    assert.throws(() => parseGitSecrets("- { repositories: https://a/* }", "git.yaml"), /git.yaml .*0.secret/);
    assert.throws(
      () => parseGitSecrets("- { repositories: https://a/*, secret: A_B }", "git.yaml"),
      /no name of a Secret/,
    );
    assert.deepEqual(parseGitSecrets("", "git.yaml"), []);
  });
});
