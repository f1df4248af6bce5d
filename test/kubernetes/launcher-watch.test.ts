/** The picture of all runs through every fault of a watch, on a control plane of the test's own. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { openApi, type Api } from "../../engine/launch/kubernetes/api.ts";
import { createRunPicture, type RunPicture } from "../../engine/launch/kubernetes/run-picture.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import { startApiProxy, type ApiProxy } from "./launcher-proxy.ts";
import { newSpec, openLauncher } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { startCluster, type TestCluster } from "./support/cluster.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { removePods } from "./support/remove-pods.ts";
import { ownClusterProblem } from "./support/shared-cluster.ts";

/** Long enough that an idle watch is not opened anew all the time, short enough to wait for. */
const SILENCE_MS = 1_500;

describe("the watch on Jobs and pods", { skip: await ownClusterProblem() }, () => {
  let cluster: TestCluster;
  let clients: Clients;
  let namespace: FreshNamespace;
  let proxy: ApiProxy;
  let api: Api;
  /** Makes Jobs past the proxy. */
  let launcher: Launcher;
  let picture: RunPicture;
  let stopWatching: () => Promise<void>;
  let lists = 0;
  let wakes = 0;

  before(async () => {
    // Without a watch cache, what etcd has forgotten is gone.
    cluster = await startCluster({ watchCache: false });
    clients = clientsFor(cluster.kubeconfig);
    namespace = await freshNamespace(clients, "watch");
    proxy = await startApiProxy(cluster.kubeconfig, cluster.directory);
    const real = await openApi({ kubeconfig: proxy.kubeconfig, namespace: namespace.name });
    api = {
      ...real,
      request: (request) => {
        if (/\/(jobs|pods)$/.test(request.path)) lists += 1;
        return real.request(request);
      },
    };
    launcher = await openLauncher({ kubeconfig: cluster.kubeconfig, namespace: namespace.name });
    const log = pino({ level: "silent" });
    picture = createRunPicture({ api, instance: "test", log, silenceMs: SILENCE_MS });
    stopWatching = picture.watch(() => (wakes += 1));
    await eventually("the first lists are in", async () => wakes >= 0 && lists >= 2);
    await seesNewRuns();
  });
  after(async () => {
    await stopWatching?.();
    await picture?.close();
    await api?.close();
    await launcher?.close();
    await proxy?.close();
    await cluster?.stop();
  });

  const launch = async () => {
    const spec = newSpec();
    await launcher.launch(spec);
    return spec;
  };
  const sees = async (runId: string): Promise<boolean> => ((await picture.runs()).get(runId)?.pods.length ?? 0) > 0;
  const seesNewRuns = async (): Promise<void> => {
    const { runId } = await launch();
    await eventually("the new run and its pod are seen", () => sees(runId));
  };
  /** What can only have come by the watch: no list was made. */
  const withoutListing = async (act: () => Promise<void>): Promise<void> => {
    const before = lists;
    await act();
    assert.equal(lists, before, "lists were made");
  };

  test("shows what happens, wakes its reader, and lists nothing again", () =>
    withoutListing(async () => {
      const before = wakes;
      await seesNewRuns();
      assert.ok(wakes > before);
    }));

  test("a connection that is cut is taken up where it broke", () =>
    withoutListing(async () => {
      proxy.cut();
      await seesNewRuns();
    }));

  test("a half-open connection is noticed by its silence, and what was missed comes after all", () =>
    withoutListing(async () => {
      proxy.freeze();
      await seesNewRuns();
    }));

  test("a Job and its pod that vanished while nobody watched are gone, once the API server has been asked", async () => {
    const spec = await launch();
    await eventually("it is seen", () => sees(spec.runId));
    picture.noteAlive(spec.runId, true);
    proxy.block();
    await clients.batch.deleteNamespacedJob({
      namespace: namespace.name,
      name: spec.jobName,
      propagationPolicy: "Background",
    });
    await removePods(clients, namespace.name);
    assert.ok((await picture.runs()).has(spec.runId), "what cannot be asked is not called gone");
    proxy.restore();
    await eventually("it is gone", async () => !(await picture.runs()).has(spec.runId));
  });

  test("versions that etcd has forgotten (410) are listed anew", async () => {
    const before = lists;
    proxy.block();
    const { runId } = await launch();
    await cluster.compactEtcd();
    // Something newer than the compaction, so that the watch's version is older.
    await launch();
    await cluster.compactEtcd();
    proxy.restore();
    await eventually("what happened meanwhile is seen", () => sees(runId));
    assert.ok(lists > before);
    await seesNewRuns();
  });

  test("an API server that is started again is watched again", async () => {
    await cluster.stopApiServer();
    await cluster.startApiServer();
    await seesNewRuns();
  });

  test("without a watch every answer is asked for", async () => {
    const asking = createRunPicture({ api, instance: "test", log: pino({ level: "silent" }) });
    const { runId } = await launch();
    assert.ok((await asking.runs()).has(runId));
  });
});
