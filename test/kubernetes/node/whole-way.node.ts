/** From an INSERT to a pushed branch, with nothing played but the model: a real cluster, node, image, CLI and remote. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { sshProblem, sshRemote } from "../../support/git-remotes.ts";
import { type Answer, type ModelRequest, text, textsOf, toolUse } from "../../support/scripted-model.ts";
import { eventually } from "../../support/waiting.ts";
import { deployEngine } from "./deploy-engine.ts";
import { buildEngineImage, ENGINE_IMAGE, WORKER_IMAGE } from "./images/own-images.ts";
import { nodeProblem } from "./node.ts";
import { GIT_LOGIN, type Stage, startStage } from "./stage.ts";

/** What the agent does stands in its prompt. */
function playAgent(request: ModelRequest): Answer {
  const said = textsOf(request, "user");
  const command = [/RUN:(.*)/, /THEN:(.*)/][request.step]?.exec(said)?.[1] ?? (request.step === 0 ? "true" : null);
  return command === null ? text("Done.") : toolUse("Bash", { command });
}

describe("a run on a real node", { skip: await nodeProblem(), timeout: 900_000 }, () => {
  let stage: Stage;
  let engine: ChildProcess;
  let modelSawAt = 0;
  before(async () => {
    stage = await startStage((request) => {
      modelSawAt ||= performance.now();
      return playAgent(request);
    });
    engine = await stage.startEngine();
  });
  after(() => stage?.close());

  test("an INSERT ends as a commit on the remote, with the result in the row and the Job gone", async (t) => {
    const startedAt = performance.now();
    modelSawAt = 0;
    const {
      id,
      result,
      worker_pod: pod,
    } = await stage.work({
      prompt: "RUN:echo hello > hello.txt && git add hello.txt && git commit -qm 'Say hello'",
      repo_url: await stage.forPods(stage.served.url),
      branch: "hello",
    });
    t.diagnostic(`INSERT to the model's first request: ${Math.round(modelSawAt - startedAt)} ms`);
    t.diagnostic(`INSERT to the result: ${Math.round(performance.now() - startedAt)} ms`);
    assert.equal(result["success"], true, JSON.stringify(result));
    assert.equal(stage.remote.file("hello", "hello.txt"), "hello\n");
    assert.equal(result["commit_sha"], stage.remote.head("hello"));
    assert.match(pod, new RegExp(`^task-${id}-1-`));
    const transcript = await stage.database.pool.query<{ content: Buffer }>(
      "select t.content from run_transcripts t join runs r on r.id = t.run_id where r.task_id = $1",
      [id],
    );
    assert.match(gunzipSync(transcript.rows[0]?.content ?? "").toString(), /Say hello/);
    await eventually("the Job is gone", async () => {
      const { items } = await stage.clients.batch.listNamespacedJob({ namespace: stage.namespace.name });
      return items.length === 0;
    });
    assert.deepEqual(stage.served.logins(), [`${GIT_LOGIN.username}:${GIT_LOGIN.password}`]);
  });

  test("a remote over SSH is reached with the deploy key of its Secret, by the host key in it", async (t) => {
    const problem = sshProblem();
    if (problem !== null) return t.skip(problem);
    const sshd = await sshRemote(stage.remote);
    try {
      const repo_url = await stage.forPods(sshd.url);
      const known = await readFile(/UserKnownHostsFile=(\S+)/.exec(sshd.sshCommand)?.[1] ?? "", "utf8");
      await stage.makeSecret("deploy-key", {
        "ssh-privatekey": await readFile(/-i (\S+)/.exec(sshd.sshCommand)?.[1] ?? "", "utf8"),
        known_hosts: known.replace(/^\S+/, `[${stage.node.address}]:${new URL(repo_url).port}`),
      });
      const prompt = "RUN:echo ssh > ssh.txt && git add ssh.txt && git commit -qm 'Over SSH'";
      const { result } = await stage.work({ prompt, repo_url, branch: "over-ssh" });
      assert.equal(result["success"], true, JSON.stringify(result));
      assert.equal(stage.remote.file("over-ssh", "ssh.txt"), "ssh\n");
    } finally {
      await sshd.close();
    }
  });

  test("the agent has no right, no login of git or the database, and cannot change its image", async () => {
    const command = [
      "id -u",
      "grep CapEff /proc/self/status",
      "env | grep -ciE 'database|git_(password|username|ssh)|run_token|token_half' || true",
      "tr '\\0' '\\n' < /proc/1/environ | grep -ciE 'database|git_(password|username|ssh)|run_token|token_half' || true",
      "ls /var/run/secrets/kubernetes.io 2>&1",
      "touch /opt/myzel/x 2>&1",
      "wc -c < /run/myzel/stop/at",
      "touch /run/myzel/stop/x 2>&1",
      "rm /run/myzel/stop/at 2>&1",
    ].join("; ");
    stage.model.requests.length = 0;
    const { result } = await stage.work({ prompt: `RUN:${command}` });
    assert.equal(result["success"], true, JSON.stringify(result));
    const said = textsOf(stage.model.requests.at(-1), "user");
    assert.match(said, /1000\nCapEff:\s+0000000000000000\n0\n0\n.*No such file.*\n.*Read-only file system/);
    assert.match(said, /Read-only file system\n0\n.*Read-only file system\n.*Read-only file system/, "nor stop itself");
  });

  test("a run that is stopped keeps its commit and its session, and the next attempt goes on from there", async (t) => {
    const waiting = "sleep 100; echo woke > woken.txt";
    stage.model.requests.length = 0;
    const stopped = stage.work({
      prompt: `RUN:echo kept > kept.txt && git add kept.txt && git commit -qm 'Keep me'\nTHEN:${waiting}`,
      repo_url: await stage.forPods(stage.served.url),
      branch: "stopped",
    });
    await eventually("the agent sleeps", async () => stage.model.requests.some(({ step }) => step === 1), 60_000);
    const { rows: live } = await stage.database.pool.query<{ id: string }>(
      "select id from tasks where status = 'running'",
    );
    const id = live[0]?.id;
    // The command that the model answered with has begun.
    await delay(2_000);
    const stoppedAt = performance.now();
    await stage.database.pool.query("select stop($1, 'the goal has changed')", [id]);
    assert.equal((await stopped).result["code"], "stopped");
    const ended = await eventually(
      "its slot is free",
      async () => {
        const found = await stage.database.pool.query(
          `select r.failure_code, r.finished_at, w.branch, octet_length(w.bundle) as bundle, w.session_id
           from runs r left join run_work w on w.run_id = r.id where r.task_id = $1 and r.finished_at is not null`,
          [id],
        );
        return found.rows[0] as Record<string, unknown> | undefined;
      },
      60_000,
    );
    t.diagnostic(`stop to the free slot: ${Math.round(performance.now() - stoppedAt)} ms`);
    assert.deepEqual([ended["failure_code"], ended["branch"]], ["stopped", "stopped"]);
    assert.ok(Number(ended["bundle"]) > 0 && ended["session_id"] !== null, JSON.stringify(ended));
    assert.equal(stage.remote.head("stopped"), null, "nothing is pushed");

    await stage.database.pool.query("select reschedule($1, continue => true)", [id]);
    const done = await eventually(
      "the next attempt is done",
      async () => {
        const found = await stage.database.pool.query(
          "select result from tasks where id = $1 and status = 'completed'",
          [id],
        );
        return found.rows[0] as { result: Record<string, unknown> } | undefined;
      },
      60_000,
    );
    assert.equal(done.result["success"], true, JSON.stringify(done.result));
    assert.equal(stage.remote.file("stopped", "kept.txt"), "kept\n");
  });

  test("a repository that cannot be had is said in the result", async () => {
    const repo_url = (await stage.forPods(stage.served.url)).replace("project.git", "nothing.git");
    const { result } = await stage.work({ prompt: "RUN:true", repo_url });
    assert.equal(result["code"], "checkout_failed", JSON.stringify(result));
  });

  test("the engine works as deploy/ runs it: two pods that are ready, one leads, and the other takes over", async () => {
    engine.kill("SIGTERM");
    await once(engine, "exit");
    await buildEngineImage();
    await stage.node.addImage(ENGINE_IMAGE);
    const runKey = await readFile(join(stage.scratch, "data/run-key"));
    await stage.clients.core.createNamespacedSecret({
      namespace: stage.namespace.name,
      body: { metadata: { name: "myzel-run-key" }, data: { "run-key": runKey.toString("base64") } },
    });
    await stage.makeSecret("myzel-database", {
      "engine-url": await stage.forPods(stage.database.url("engine")),
      "pod-url": await stage.forPods(stage.database.url("pod")),
    });
    const apiPort = await stage.portForPods(Number(new URL(stage.cluster.server).port));
    await deployEngine(stage.clients, {
      namespace: stage.namespace.name,
      image: ENGINE_IMAGE,
      environment: {
        MYZEL_WORKER_IMAGE: WORKER_IMAGE,
        MYZEL_ROLE_PREFIX: stage.database.rolePrefix,
        MYZEL_MODEL_BASE_URL: (await stage.forPods(stage.model.url)).replace(/\/$/, ""),
        MYZEL_RUN_MEMORY: "1Gi",
        MYZEL_RUN_CPU: "1",
      },
      apiServer: { address: stage.node.address, port: apiPort },
    });
    const ready = async (): Promise<string[]> => {
      const labelSelector = "app.kubernetes.io/component=engine";
      const { items } = await stage.clients.core.listNamespacedPod({ namespace: stage.namespace.name, labelSelector });
      const isReady = ({ status }: (typeof items)[number]): boolean =>
        status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
      return items.filter(isReady).map(({ metadata }) => metadata?.name ?? "");
    };
    await eventually("both engines are ready", async () => (await ready()).length === 2, 90_000);
    const { result } = await stage.work({ prompt: "RUN:true" });
    assert.equal(result["success"], true, JSON.stringify(result));

    const leader = async () => {
      const { rows } = await stage.database.pool.query<{ epoch: string; host: string }>(
        "select epoch, host from engine_state",
      );
      return rows[0];
    };
    const first = await leader();
    assert.ok((await ready()).includes(first?.host ?? ""), first?.host);
    await stage.clients.core.deleteNamespacedPod({ namespace: stage.namespace.name, name: first?.host ?? "" });
    await eventually("another engine leads", async () => (await leader())?.host !== first?.host, 30_000);
    const next = await stage.work({ prompt: "RUN:true" });
    assert.equal(next.result["success"], true, JSON.stringify(next.result));
  });
});
