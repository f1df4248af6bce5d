/** Logs through a real API server, from a node whose kubelet says what the test lets containers say. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PatchStrategy, setHeaderOptions, type V1Pod } from "@kubernetes/client-node";
import type { Launcher, LaunchSpec } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import { startLogServer, type LogServer } from "./launcher-log-server.ts";
import { launchBound, openLauncher } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { startCluster, type TestCluster } from "./support/cluster.ts";
import { freshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bringPodTo } from "./support/played-pod.ts";
import { failed, running, succeeded } from "./support/pod-moments.ts";
import { ownClusterProblem } from "./support/shared-cluster.ts";

const MERGE = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

describe("the log of a run", { skip: await ownClusterProblem() }, () => {
  let cluster: TestCluster;
  let clients: Clients;
  let namespace: string;
  let node: PlayedNode;
  let launcher: Launcher;
  let kubelet: LogServer;
  let spec: LaunchSpec;
  let pod: V1Pod;

  before(async () => {
    cluster = await startCluster();
    clients = clientsFor(cluster.kubeconfig);
    namespace = (await freshNamespace(clients, "log")).name;
    node = await playedNode(clients);
    launcher = await openLauncher({ kubeconfig: cluster.kubeconfig, namespace });
  });
  after(async () => {
    await launcher?.close();
    await cluster?.stop();
  });

  /** A kubelet with empty logs, and a run on its node. */
  const begin = async (): Promise<void> => {
    const subject = { subject: "/CN=kubelet", names: "IP:127.0.0.1" };
    kubelet = await startLogServer(await cluster.authority.sign({ name: `kubelet-${Date.now()}`, ...subject }));
    const addresses = [{ type: "InternalIP", address: "127.0.0.1" }];
    const status = { addresses, daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } } };
    await clients.core.patchNodeStatus({ name: node.name, body: { status } }, MERGE);
    ({ spec, pod } = await launchBound(launcher, { clients, namespace, node }));
  };
  const follow = (signal?: AbortSignal) => {
    const heard: string[] = [];
    const ended = (async () => {
      const options = signal === undefined ? { follow: true } : { follow: true, signal };
      for await (const { text } of launcher.logs(spec.jobName, options)) heard.push(text);
    })();
    const hears = (text: string) => eventually(`hears "${text}"`, () => heard.join("").includes(text));
    return { heard, ended, hears };
  };

  test("is followed from phase to phase, from before the first until the run has ended", async () => {
    await begin();
    const { heard, ended, hears } = follow();
    kubelet.say("checkout", "cloning");
    await bringPodTo(clients, pod, running("checkout"));
    await hears("cloning");
    kubelet.end("checkout");
    await bringPodTo(clients, pod, running("agent"));
    kubelet.say("agent", "thinking");
    await hears("thinking");
    kubelet.say("agent", "done");
    kubelet.end("agent");
    kubelet.say("publish", "pushed");
    kubelet.end("publish");
    await bringPodTo(clients, pod, succeeded());
    await ended;
    assert.equal(heard.join(""), "cloning\nthinking\ndone\npushed\n");
    await kubelet.close();
  });

  test("is taken up where a connection broke, with no line twice and none lost", async () => {
    await begin();
    await bringPodTo(clients, pod, running("checkout"));
    const { heard, ended, hears } = follow();
    for (let line = 0; line < 20; line += 1) {
      kubelet.say("checkout", `line ${line}.`);
      await hears(`line ${line}.`);
      if (line % 5 === 0) kubelet.cut();
    }
    kubelet.end("checkout");
    await bringPodTo(clients, pod, failed("checkout", 20));
    await ended;
    assert.deepEqual(
      heard.join("").trim().split("\n"),
      Array.from({ length: 20 }, (_, line) => `line ${line}.`),
    );
    assert.ok(kubelet.asked > 4, "the connection never broke");
    await kubelet.close();
  });

  test("read once, it is what was said so far, also of a run that has ended", async () => {
    await begin();
    await bringPodTo(clients, pod, running("agent"));
    kubelet.say("checkout", "cloned");
    kubelet.end("checkout");
    kubelet.say("agent", "thinking");
    const read = async (): Promise<string> => {
      let text = "";
      for await (const piece of launcher.logs(spec.jobName, { follow: false })) text += piece.text;
      return text;
    };
    assert.equal(await read(), "cloned\nthinking\n");
    kubelet.end("agent");
    await bringPodTo(clients, pod, failed("agent", 1));
    assert.equal(await read(), "cloned\nthinking\n");
    await kubelet.close();
  });

  test("a reader that has enough leaves at once", async () => {
    await begin();
    await bringPodTo(clients, pod, running("agent"));
    kubelet.end("checkout");
    const leaving = new AbortController();
    const { ended, hears } = follow(leaving.signal);
    kubelet.say("agent", "thinking");
    await hears("thinking");
    leaving.abort();
    await ended;
    await kubelet.close();
  });
});
