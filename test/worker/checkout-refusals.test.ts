import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { checkout } from "../../worker-image/phases/checkout.ts";
import { readRemoteAddress } from "../../worker-image/git/remote-address.ts";
import {
  bareRemote,
  type BareRemote,
  httpRemote,
  type HttpRemote,
  sshProblem,
  sshRemote,
  type SshRemote,
} from "../support/git-remotes.ts";
import { asPod, type PodRun, podRun, type PodTask } from "../support/pod-run.ts";
import { eventually } from "../support/waiting.ts";

const LOGIN = { username: "somebody", password: "correct-horse-battery" };

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

function aRemote(): BareRemote {
  const remote = bareRemote();
  closing.push(remote.remove);
  return remote;
}

async function overHttp(login?: typeof LOGIN): Promise<HttpRemote> {
  const http = await httpRemote(aRemote(), login);
  closing.push(http.close);
  return http;
}

async function podFor(task: PodTask): Promise<PodRun> {
  const pod = await podRun(task);
  closing.push(pod.close);
  return pod;
}

/** Runs checkout with no patience and demands `checkout_failed`; returns the sentence. */
async function refused(pod: PodRun, environment: Record<string, string> = {}): Promise<string> {
  const variables = { ...pod.environment, ...environment };
  const end = await checkout(variables, { signal: new AbortController().signal, networkPatienceMs: 0 });
  const { report } = await pod.stored();
  assert.deepEqual([end.exitCode, report?.code, report?.error], [20, "checkout_failed", end.message]);
  assert.equal(existsSync(join(pod.workspace, "checkout.json")), false);
  for (const secret of [LOGIN.password, "wrong-password", pod.token])
    assert.ok(!JSON.stringify(report).includes(secret));
  return end.message ?? "";
}

async function refusedUrl(repo_url: string): Promise<string> {
  return refused(await podFor({ repo_url }));
}

test("over HTTP the right login clones, a wrong one is refused, and without one a login is asked for", async () => {
  const http = await overHttp(LOGIN);
  const pod = await podFor({ repo_url: http.url });
  assert.match(
    await refused(pod),
    new RegExp(`^The repository ${http.url} needs a login, and there is none for it \\(git: .+\\)\\.$`),
  );

  const wrong = { MYZEL_GIT_USERNAME: "somebody", MYZEL_GIT_PASSWORD: "wrong-password" };
  assert.match(
    await refused(await podFor({ repo_url: http.url }), wrong),
    /^The login for http:\S+ was refused \(git: .+\)\.$/,
  );

  const right = { MYZEL_GIT_USERNAME: LOGIN.username, MYZEL_GIT_PASSWORD: LOGIN.password };
  const good = await podFor({ repo_url: http.url });
  assert.equal((await good.phase("checkout", right)).exitCode, 0);
  assert.equal(good.git("rev-list", "--count", "HEAD"), "1");
  assert.doesNotMatch(good.git("config", "--local", "--list"), /correct-horse|credential|remote/);
});

test("a login is not sent where a redirect leads", async () => {
  const other = await overHttp({ username: "other", password: "another-password" });
  const http = await overHttp(LOGIN);
  http.redirectTo(`http://127.0.0.1:${other.port}`);
  const right = { MYZEL_GIT_USERNAME: LOGIN.username, MYZEL_GIT_PASSWORD: LOGIN.password };
  assert.match(await refused(await podFor({ repo_url: http.url }), right), /needs a login/);
  assert.deepEqual(other.logins(), []);
});

test(
  "over SSH the known key clones; a stranger and an unknown host are told apart",
  { skip: sshProblem() ?? false },
  async () => {
    const ssh: SshRemote = await sshRemote(aRemote());
    closing.push(ssh.close);
    const pod = await podFor({ repo_url: ssh.url });
    assert.deepEqual(await pod.phase("checkout", { GIT_SSH_COMMAND: ssh.sshCommand }), {
      exitCode: 0,
      stderr: "",
      message: null,
    });
    assert.equal(pod.git("rev-list", "--count", "HEAD"), "1");
    const stranger = await refused(await podFor({ repo_url: ssh.url }), { GIT_SSH_COMMAND: ssh.strangerCommand });
    assert.match(stranger, /^The login for ssh:\S+ was refused \(git: .*Permission denied.*\)\.$/);
    const unknown = await refused(await podFor({ repo_url: ssh.url }), { GIT_SSH_COMMAND: ssh.unknownHostCommand });
    assert.match(unknown, /^The SSH host key of ssh:\S+ is not known or has changed \(git: .+\)\.$/);
  },
);

test("a repository that does not exist is named, over each transport", async () => {
  assert.match(
    await refusedUrl("file:///nowhere/project.git"),
    /^The repository file:\/\/\/nowhere\/project.git was not found/,
  );
  assert.match(await refusedUrl("/nowhere/project.git"), /was not found/);
  const http = await overHttp();
  assert.match(
    await refusedUrl(http.url.replace("project", "other")),
    /^The repository http:\S+other.git was not found/,
  );
});

test("a host that is unknown or refuses the connection is named", async () => {
  assert.match(await refusedUrl("https://host.invalid/x.git"), /^The host of https:\/\/host.invalid\/x.git is unknown/);
  const http = await overHttp();
  await http.close();
  closing.pop();
  assert.match(await refusedUrl(http.url), /^The host of http:\S+ cannot be reached/);
});

test("a host that answers after a while is waited for", async () => {
  const remote = aRemote();
  const backend = await httpRemote(remote);
  closing.push(backend.close);
  let asked = 0;
  const gate = createServer((request, response) => {
    asked++;
    if (asked === 1) response.writeHead(503).end();
    else response.writeHead(302, { location: `http://127.0.0.1:${backend.port}${request.url}` }).end();
  });
  gate.listen(0, "127.0.0.1");
  await once(gate, "listening");
  closing.push(() => void gate.close());
  const { port } = gate.address() as AddressInfo;
  const pod = await podFor({ repo_url: `http://127.0.0.1:${port}/project.git` });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  assert.ok(asked > 1);
});

test("addresses that git could take for something else never reach it", () => {
  const bad: [string, RegExp][] = [
    ["-oProxyCommand=touch x", /begins with "-"/],
    ["--upload-pack=touch x", /begins with "-"/],
    ["ext::sh -c touch% x", /space/],
    ["ext::sh", /the transport "ext"/],
    ["fd::7", /the transport "fd"/],
    ["ftp://host/x.git", /the scheme "ftp"/],
    ["constructor://host/x.git", /the scheme "constructor"/],
    ["file://host/x.git", /no absolute path/],
    ["relative/path", /is none/],
    ["-host:path", /begins with "-"/],
    ["user@-oProxyCommand:path", /is none/],
    ["https://", /cannot be read/],
    ["https://host/x.git\nHost: evil", /line break/],
    ["https://somebody:pa55word@host/x.git", /^The address of the repository https:\/\/host\/x.git holds a login/],
    ["https://ghp_token@host/x.git", /holds a login/],
    ["ssh://git:pa55word@host/x.git", /holds a login/],
  ];
  for (const [url, sentence] of bad) {
    assert.throws(
      () => readRemoteAddress(url),
      (error: Error) => {
        assert.match(error.message, sentence, url);
        assert.doesNotMatch(error.message, /pa55word|ghp_token/);
        return true;
      },
    );
  }
});

test("every usual form of address is accepted, and only HTTP gets the login", () => {
  const kinds = [
    "https://host/x.git",
    "http://host:8080/x",
    "ssh://git@host:22/x",
    "git@host:x/y.git",
    "host:x",
    "git@[::1]:x",
    "git://host/x",
    "file:///x",
    "/x",
  ].map((url) => [readRemoteAddress(url).kind, readRemoteAddress(url).origin]);
  assert.deepEqual(kinds, [
    ["http", "https://host"],
    ["http", "http://host:8080"],
    ["ssh", null],
    ["ssh", null],
    ["ssh", null],
    ["ssh", null],
    ["git", null],
    ["file", null],
    ["file", null],
  ]);
});

test("an address that got past the database is still refused with a sentence", async () => {
  const remote = aRemote();
  const pod = await podFor({ repo_url: remote.url });
  await pod.db.pool.query(
    "set local session_replication_role = replica; update tasks set repo_url = 'ext::sh -c date'",
  );
  assert.match(await refused(pod), /control character|transport/);
});

test("a remote that is away while an earlier attempt's commit may be there is asked again by another attempt", async () => {
  const pod = await podFor({ repo_url: "http://127.0.0.1:1/x.git", branch: "work" });
  const announced = JSON.stringify({ success: true, branch: "work", commit_sha: "a".repeat(40) });
  await pod.db.pool.query("update runs set announced = $1", [announced]);
  await pod.db.settle(pod.taskId, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 0 });
  await pod.db.claimAll();
  const next = await asPod(pod.db, pod.taskId);
  closing.push(() => rmSync(next.directory, { recursive: true, force: true }));
  const end = await checkout(next.environment, { signal: new AbortController().signal, networkPatienceMs: 0 });
  const { report } = await next.stored();
  assert.deepEqual([end.exitCode, report?.code, report?.error], [20, "lost", end.message]);
});

test("a fenced run does nothing: a wrong token, another pod, a run that was stopped", async () => {
  const pod = await podFor({ repo_url: aRemote().url });
  assert.equal((await pod.phase("checkout", { MYZEL_RUN_TOKEN: "0".repeat(64) })).exitCode, 21);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  const second = await pod.phase("checkout", {
    MYZEL_BOUND_TO: "pod-2",
    MYZEL_WORKSPACE: join(pod.directory, "other"),
  });
  assert.deepEqual([second.exitCode, existsSync(join(pod.directory, "other"))], [21, false]);
  await pod.db.pool.query("select stop($1)", [pod.taskId]);
  assert.equal((await pod.phase("checkout")).exitCode, 21);
  assert.equal((await pod.stored()).report, null);
});

test("an unreachable database is waited for, then said so; its address stays a secret", async () => {
  const pod = await podFor({});
  const url = "postgres://pod:pa55word1234@127.0.0.1:1/nothing";
  const options = { signal: new AbortController().signal, databasePatienceMs: 600 };
  const begin = performance.now();
  const end = await checkout({ ...pod.environment, MYZEL_DATABASE_URL: url }, options);
  assert.deepEqual(end, { exitCode: 22, message: "The database cannot be reached (ECONNREFUSED)." });
  assert.ok(performance.now() - begin >= 600);
  const wrong = await checkout(
    {
      ...pod.environment,
      MYZEL_DATABASE_URL: pod.environment["MYZEL_DATABASE_URL"]?.replace(/:[^:@/]+@/, ":wrong-pa55word@") ?? "",
    },
    options,
  );
  assert.equal(wrong.exitCode, 22);
  assert.doesNotMatch(wrong.message ?? "", /pa55word/);
});

test("missing variables are all named, with the exit code for wrong usage", async () => {
  const pod = await podFor({});
  const end = await pod.phase("checkout", { MYZEL_RUN_ID: "", MYZEL_BOUND_TO: "" });
  assert.deepEqual([end.exitCode, end.message], [2, "These variables are missing: MYZEL_RUN_ID, MYZEL_BOUND_TO."]);
});

test("an abort while git runs ends it and leaves no report", async () => {
  const silent = createServer(() => {});
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  closing.push(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const pod = await podFor({ repo_url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}/x.git` });
  const stop = new AbortController();
  const ended = checkout(pod.environment, { signal: stop.signal });
  await eventually(
    "git asks",
    () => new Promise<boolean>((resolve) => silent.getConnections((_, count) => resolve(count > 0))),
  );
  stop.abort();
  assert.equal((await ended).exitCode, 143);
  assert.equal((await pod.stored()).report, null);
});
