import assert from "node:assert/strict";
import { appendFile, chmod, chown, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { briefWith, TOKEN } from "../../support/agent-phase.ts";
import { startScriptedModel, text, textsOf, toolUse } from "../../support/scripted-model.ts";
import { eventually } from "../../support/waiting.ts";
import { DEBIAN } from "./images/base-images.ts";
import { buildah, buildImage } from "./images/buildah.ts";
import { newLayers } from "./images/image-layers.ts";
import { buildEngineImage, buildWorkerImage, ENGINE_IMAGE, WORKER_IMAGE } from "./images/own-images.ts";
import { imagesProblem } from "./images/problem.ts";
import { copyOfImage, type CopyOfImage } from "./images/run-in-image.ts";

const ROOT = join(import.meta.dirname, "../../..");
const ENTRYPOINT = "/opt/myzel/worker-image/entrypoint.sh";
const problem = await imagesProblem();

/** Everything the images are built from, in a directory that a test may change. */
async function copyOfContext(): Promise<string> {
  const context = await mkdtemp(join(tmpdir(), "myzel-context-"));
  for (const name of ["package.json", "package-lock.json", "worker-image"]) {
    await cp(join(ROOT, name), join(context, name), { recursive: true, preserveTimestamps: true });
  }
  return context;
}

/** Runs the agent phase in an image against a scripted model: one Bash command, then the end. */
async function playAgent(image: CopyOfImage, command: string) {
  const model = await startScriptedModel([toolUse("Bash", { command }), text("Done.")]);
  const workspace = await mkdtemp(join(tmpdir(), "myzel-workspace-"));
  try {
    await chown(workspace, 1000, 1000);
    await chmod(workspace, 0o700);
    await writeFile(join(workspace, "brief.json"), JSON.stringify(briefWith({}, { repo_url: null, branch: null })));
    await chown(join(workspace, "brief.json"), 1000, 1000);
    const run = await image.start([ENTRYPOINT, "agent"], {
      environment: {
        MYZEL_WORKSPACE: "/workspace",
        CLAUDE_CODE_OAUTH_TOKEN: TOKEN,
        MYZEL_MODEL_BASE_URL: model.url,
      },
      volumes: { [workspace]: "/workspace" },
    }).ended;
    const outcome = JSON.parse(await readFile(join(workspace, "outcome.json"), "utf8").catch(() => "null")) as unknown;
    return { run, outcome: outcome as { success: boolean } | null, said: textsOf(model.requests.at(-1), "user") };
  } finally {
    await model.close();
    await rm(workspace, { recursive: true, force: true });
  }
}

describe("the worker image", { skip: problem, timeout: 900_000 }, () => {
  let image: CopyOfImage;
  before(async () => {
    await buildWorkerImage();
    image = await copyOfImage(WORKER_IMAGE);
  });
  after(() => image?.remove());

  test("starts each phase as a user without rights, and says what is missing", async () => {
    for (const phase of ["checkout", "agent", "publish"]) {
      const run = await image.start([ENTRYPOINT, phase]).ended;
      assert.match(run.output, /MYZEL_WORKSPACE/, phase);
      assert.equal(run.exitCode, 2, phase);
    }
  });

  test("holds git, ssh and a user whom ssh knows", async () => {
    const run = await image.start(["sh", "-c", "git --version && ssh -V && id -u && getent passwd 1000"]).ended;
    assert.equal(run.exitCode, 0, run.output);
    assert.match(run.output, /git version .*OpenSSH.*\n1000\n\w+:x:1000:/s);
  });

  test("runs the Claude Code that is in it", async () => {
    const { run, outcome } = await playAgent(image, "echo hello");
    assert.equal(run.exitCode, 0, run.output);
    assert.equal(outcome?.success, true, run.output);
  });

  test("is laid over another image with glibc and git, whose tools its agents have", async () => {
    const tools = await mkdtemp(join(tmpdir(), "myzel-tools-"));
    try {
      const dockerfile = join(tools, "Dockerfile");
      const packages = "apt-get install --yes --no-install-recommends git openssh-client python3-minimal";
      await writeFile(dockerfile, `FROM ${DEBIAN}\nRUN apt-get update && ${packages}\n`);
      await buildImage({ dockerfile, context: tools, name: "localhost/tools-with-python:test" });
    } finally {
      await rm(tools, { recursive: true });
    }
    const name = "localhost/worker-with-python:test";
    await buildWorkerImage({ name, base: "localhost/tools-with-python:test" });
    const python = await copyOfImage(name);
    try {
      const { run, outcome, said } = await playAgent(python, "python3 -c 'print(6*7, \"from Python\")'");
      assert.equal(outcome?.success, true, run.output);
      assert.match(said, /42 from Python/);
      const user = await python.start(["sh", "-c", "getent passwd 1000; command -v npm || echo no npm"]).ended;
      assert.match(user.output, /:1000:.*no npm/s);
    } finally {
      await python.remove();
    }
  });

  test("has less than 1 MB of new layers to pull after a phase was changed", async (t) => {
    const context = await copyOfContext();
    try {
      await buildWorkerImage({ context, name: "localhost/worker-before:test" });
      await appendFile(join(context, "worker-image/phases/agent.ts"), "\n// A change.\n");
      await buildWorkerImage({ context, name: "localhost/worker-after:test" });
      const added = await newLayers("localhost/worker-after:test", "localhost/worker-before:test");
      const bytes = added.map((layer) => layer.bytes);
      t.diagnostic(`new layers: ${bytes.join(" + ")} bytes`);
      // What is copied, and its compiled code.
      assert.equal(bytes.length, 2);
      assert.ok(bytes.reduce((sum, one) => sum + one, 0) < 1_000_000, `${bytes.join(" + ")} bytes`);
    } finally {
      await rm(context, { recursive: true });
      await buildah("rmi", "--force", "localhost/worker-before:test", "localhost/worker-after:test").catch(() => {});
    }
  });
});

describe("the engine's image", { skip: problem, timeout: 900_000 }, () => {
  let image: CopyOfImage;
  before(async () => {
    await buildEngineImage();
    image = await copyOfImage(ENGINE_IMAGE);
    // What a shell could be started by.
    await image.prepare("rm", "/usr/bin/bash", "/usr/bin/dash", "/usr/bin/sh");
  });
  after(() => image?.remove());

  test("has the command line, for people who look in", async () => {
    const whole = await copyOfImage(ENGINE_IMAGE);
    try {
      const run = await whole.start(["myzel", "tasks", "--database-url", "postgresql://a@127.0.0.1:1/b"]).ended;
      assert.equal(run.exitCode, 3, run.output);
    } finally {
      await whole.remove();
    }
  });

  test("needs no shell", async () => {
    const [entrypoint] = await entrypointOf(ENGINE_IMAGE);
    const run = await image.start([...(await entrypointOf(ENGINE_IMAGE)), "--version"]).ended;
    assert.equal(entrypoint, "node");
    assert.equal(run.exitCode, 0, run.output);
    const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
    assert.equal(run.output.trim(), version);
  });

  test("waits for its database, and ends with 0 on SIGTERM", async () => {
    const nowhere = "postgresql://engine:secret@127.0.0.1:1/myzel";
    const engine = image.start([...(await entrypointOf(ENGINE_IMAGE)), "engine"], {
      environment: {
        DATABASE_URL: nowhere,
        MYZEL_POD_DATABASE_URL: nowhere,
        MYZEL_LAUNCHER: "process",
        MYZEL_DATA_DIR: "/tmp/data",
      },
    });
    try {
      await eventually("it waits for the database", () => engine.output().includes("waiting for it"), 30_000);
      await signalInner(engine.child.pid ?? 0, "SIGTERM");
      assert.equal((await engine.ended).exitCode, 0, engine.output());
    } finally {
      engine.child.kill("SIGKILL");
    }
  });
});

async function entrypointOf(name: string): Promise<string[]> {
  const image = JSON.parse(await buildah("inspect", "--type", "image", name)) as {
    OCIv1: { config: { Entrypoint: string[] } };
  };
  return image.OCIv1.config.Entrypoint;
}

/** Signals the innermost descendant: the program itself, below what buildah puts around it. */
async function signalInner(pid: number, signal: NodeJS.Signals): Promise<void> {
  // A child is listed with the thread that made it.
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, "utf8")));
  const [child] = lists.flatMap((list) => list.trim().split(" ").filter(Boolean));
  if (child === undefined) process.kill(pid, signal);
  else await signalInner(Number(child), signal);
}
