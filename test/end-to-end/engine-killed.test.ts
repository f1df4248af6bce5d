/** kill -9 of the engine in each phase of a run, then a new engine: one run, one result, one commit. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bareRemote, httpRemote } from "../support/git-remotes.ts";
import type { BareRemote, HttpRemote } from "../support/git-remotes.ts";
import { text, textsOf, toolUse } from "../support/scripted-model.ts";
import { startSpine } from "../support/spine.ts";
import type { Spine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";

/** Something that waits until the test lets it go on, and tells that it waits. */
interface Gate {
  reached: boolean;
  passed: Promise<void>;
  open(): void;
}

function gate(): Gate {
  let open = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { reached: false, passed, open };
}

describe("the engine is killed while a run is in", () => {
  let spine: Spine;
  let remote: BareRemote;
  let http: HttpRemote;
  const agentGates = new Map<string, Gate>();
  before(async () => {
    remote = bareRemote();
    http = await httpRemote(remote);
    spine = await startSpine(async (request) => {
      const step = request.body.messages?.filter((message) => message.role === "assistant").length ?? 0;
      for (const [word, held] of agentGates) {
        if (!textsOf(request, "user").includes(word)) continue;
        held.reached = true;
        await held.passed;
      }
      return step === 0
        ? toolUse("Bash", { command: "echo hello > hello.txt && git add . && git commit -qm hello" })
        : text("Done.");
    });
  });
  after(async () => {
    await spine.close();
    await http.close();
    remote.remove();
  });

  /** Kills the engine once `reached`, starts another, lets the run go on with `open`, and checks that all happened once. */
  async function surviveKill(
    branch: string,
    held: { reached: () => boolean; open: () => void },
    repoUrl: string,
  ): Promise<void> {
    const engine = spine.spawnEngine();
    const id = await spine.insert({ addressee: branch, prompt: `work on ${branch}`, repo_url: repoUrl, branch });
    await eventually(`the run is held in ${branch}`, held.reached, 300_000);
    engine.kill("SIGKILL");
    const next = spine.spawnEngine();
    await eventually("another engine leads", async () => {
      const { rows } = await spine.pool.query("select pid from engine_state where engine_is_live()");
      return rows[0]?.pid === next.pid;
    });
    held.open();
    const { result } = await spine.completed(id);
    assert.equal(result.success, true, JSON.stringify(result));
    assert.equal(result["attempt"], 1);
    assert.equal((await spine.pool.query("select from runs where task_id = $1", [id])).rowCount, 1);
    assert.equal(remote.git("rev-list", "--count", `main..${branch}`), "1");
    assert.equal(result["commit_sha"], remote.git("rev-parse", `refs/heads/${branch}`));
    next.kill("SIGKILL");
  }

  it("checkout", async () => {
    const held = gate();
    const proxy = createServer((incoming, response) => {
      held.reached = true;
      void held.passed.then(() => {
        const forwarded = httpRequest(
          { port: http.port, method: incoming.method, path: incoming.url, headers: incoming.headers },
          (answer) => answer.pipe(response.writeHead(answer.statusCode ?? 500, answer.headers)),
        );
        incoming.pipe(forwarded);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${new URL(http.url).pathname}`;
    try {
      await surviveKill("checkout", { reached: () => held.reached, open: held.open }, url);
    } finally {
      proxy.close();
      proxy.closeAllConnections();
    }
  });

  it("agent", async () => {
    const held = gate();
    agentGates.set("work on agent", held);
    await surviveKill("agent", { reached: () => held.reached, open: held.open }, remote.url);
  });

  it("publish, between the announcement and the end of the push", async () => {
    const directory = dirname(remote.path);
    const [hold, reached] = [join(directory, "hold"), join(directory, "reached")];
    const hook = join(remote.path, "hooks", "pre-receive");
    writeFileSync(hold, "");
    writeFileSync(hook, `#!/bin/sh\n: > '${reached}'\nwhile [ -e '${hold}' ]; do sleep 0.05; done\n`);
    chmodSync(hook, 0o755);
    await surviveKill("publish", { reached: () => existsSync(reached), open: () => rmSync(hold) }, remote.url);
  });
});
