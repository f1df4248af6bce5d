/** How checkout and publish reach a repository: logins, keys and files that the run itself never holds. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { test, type TestContext } from "node:test";
import { userInfo } from "node:os";
import { fillMirror } from "../../engine/launch/process/mirror.ts";
import {
  isRoot,
  launchSpec,
  needsRoot,
  openBench,
  temporaryDirectory,
  waitFor,
  waitForEnd,
} from "./process-support.ts";
import { startSshd } from "../support/sshd.ts";

/** A plain path becomes a URL, as in the real phases. */
const told = (url: string) => JSON.stringify(url.startsWith("/") ? `file://${url}` : url);

/** Clones and pushes as the real phases do. */
const GIT = `
const rule = process.env.MYZEL_GIT_INSTEAD_OF;
const at = rule?.lastIndexOf("=") ?? 0;
const rewrite = rule === undefined ? [] : ["-c", "url." + rule.slice(at + 1) + ".insteadOf=" + rule.slice(0, at)];
const git = (...args: string[]) => {
  const end = cp.spawnSync("git", ["-c", "user.name=t", "-c", "user.email=t@t", ...rewrite, ...args], { encoding: "utf8", env: { ...process.env, GIT_TERMINAL_PROMPT: "0" } });
  console.log(args.join(" "), end.status, end.stdout, end.stderr);
  return end;
};
const repo = join(process.env.MYZEL_WORKSPACE!, "repo");
`;
const clone = (url: string) =>
  `${GIT} const end = git("clone", "-q", ${told(url)}, repo); process.exit(end.status ?? 1);`;
const commit = `${GIT} fs.writeFileSync(join(repo, "new"), "x"); git("-C", repo, "add", "."); process.exit(git("-C", repo, "commit", "-qm", "work").status ?? 1);`;
const push = (url: string) =>
  `${GIT} const end = git("-C", repo, "push", "-q", ${told(url)}, "HEAD:refs/heads/task"); process.exit(end.status ?? 1);`;

test("the user's credential helper is asked for an HTTPS remote, and only checkout and publish get its answer", async (t) => {
  const directory = temporaryDirectory(t, 0o700);
  const config = join(directory, "gitconfig");
  writeFileSync(
    join(directory, "helper"),
    `#!/bin/sh\ncat > ${directory}/asked\necho username=me\necho password=from-the-helper\n`,
    { mode: 0o700 },
  );
  writeFileSync(config, `[credential]\n\thelper = ${join(directory, "helper")}\n`);
  const show =
    "note(process.env.MYZEL_PHASE!, JSON.stringify([process.env.MYZEL_GIT_USERNAME, process.env.MYZEL_GIT_PASSWORD])); console.log(process.env.MYZEL_GIT_PASSWORD);";
  const bench = openBench(
    t,
    { checkout: show, agent: show, publish: show },
    { environment: { ...process.env, GIT_CONFIG_GLOBAL: config } },
  );
  const spec = launchSpec({ repoUrl: "https://example.invalid/team/app.git" });
  await bench.launcher.launch(spec);
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(JSON.parse(bench.note("checkout")), ["me", "from-the-helper"]);
  assert.deepEqual(JSON.parse(bench.note("agent")), [null, null]);
  assert.deepEqual(JSON.parse(bench.note("publish")), ["me", "from-the-helper"]);
  assert.match(readFileSync(join(directory, "asked"), "utf8"), /protocol=https\nhost=example.invalid\n/);
  assert.ok(end.logTail?.includes("[masked]") && !end.logTail.includes("from-the-helper"));
});

test("without a credential helper there is no login, and nobody is asked", async (t) => {
  const show = 'note(process.env.MYZEL_PHASE!, JSON.stringify("MYZEL_GIT_PASSWORD" in process.env));';
  const environment = {
    ...process.env,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_ASKPASS: "/bin/false",
    SSH_ASKPASS: "/bin/false",
  };
  const bench = openBench(t, { checkout: show }, { environment });
  const spec = launchSpec({ repoUrl: "https://example.invalid/team/app.git" });
  await bench.launcher.launch(spec);
  await waitForEnd(bench.launcher, spec.jobName);
  assert.equal(bench.note("checkout"), "false");
});

for (const form of ["path", "file URL"] as const) {
  test(`a private repository of this machine, given as a ${form}, is cloned and pushed to with its hooks`, async (t) => {
    const remote = makeRemote(t);
    writeFileSync(join(remote, "hooks/post-receive"), `#!/bin/sh\nid -u > ${remote}/hook-ran\n`, { mode: 0o700 });
    const url = form === "path" ? remote : `file://${remote}`;
    const bench = openBench(t, {
      checkout: clone(url),
      agent: commit,
      publish: push(url),
    });
    const spec = launchSpec({ repoUrl: url });
    await bench.launcher.launch(spec);
    const end = await waitForEnd(bench.launcher, spec.jobName);
    assert.deepEqual(
      end.phases.map(({ exitCode }) => exitCode),
      [0, 0, 0],
      end.logTail ?? "",
    );
    assert.match(git("-C", remote, "log", "--format=%s", "task"), /^work$/m);
    assert.equal(Number(readFileSync(join(remote, "hook-ran"), "utf8")), process.getuid?.());
    // Pushed objects belong to the repository's owner, not to the run.
    assert.equal(statSync(join(remote, "refs/heads/task")).uid, process.getuid?.());
  });
}

test(
  "neither checkout nor the agent can push through the relay, and no other repository is served",
  { skip: needsRoot },
  async (t) => {
    const remote = makeRemote(t);
    const other = makeRemote(t);
    const bench = openBench(t, {
      checkout: `${GIT} git("clone", "-q", ${told(remote)}, repo); note("push", git("-C", repo, "push", ${told(remote)}, "HEAD:refs/heads/x").stderr); note("other", git("ls-remote", "ssh://myzel-relay" + ${JSON.stringify(other)}).stderr);`,
      agent: `${GIT} note("agent", git("-C", repo, "ls-remote", ${told(remote)}).status + " " + fs.existsSync("../git.sock"));`,
    });
    const spec = launchSpec({ repoUrl: remote });
    await bench.launcher.launch(spec);
    await waitForEnd(bench.launcher, spec.jobName);
    assert.match(bench.note("push"), /only the publish phase may push/);
    assert.match(bench.note("other"), /only the repository of this run's task/);
    assert.equal(bench.note("agent"), "128 false");
  },
);

test(
  "a repository that an earlier run left behind is not served, so its hooks never run",
  { skip: needsRoot },
  async (t) => {
    const remote = makeRemote(t);
    execFileSync("chown", ["-R", "1800000123", remote]);
    const bench = openBench(t, {
      checkout: `${GIT} note("said", git("ls-remote", ${told(remote)}).stderr);`,
    });
    const spec = launchSpec({ repoUrl: remote });
    await bench.launcher.launch(spec);
    await waitForEnd(bench.launcher, spec.jobName);
    assert.match(bench.note("said"), /belongs to a run/);
  },
);

test("the second run of a repository may borrow from its mirror, and the agent cannot read it", async (t) => {
  const remote = makeRemote(t);
  const bench = openBench(t, {
    checkout: `${GIT} const mirror = process.env.MYZEL_REPO_MIRROR;
      note("checkout-" + process.env.MYZEL_RUN_ID, mirror ?? "none");
      if (mirror) note("mirror", mirror);
      const end = git("clone", "-q", "--no-local", ...(mirror ? ["--reference", mirror, "--dissociate"] : []), ${told(remote)}, repo);
      if (mirror) note("borrowed", git("--git-dir", mirror, "-c", "safe.directory=" + mirror, "log", "--format=%s", "refs/heads/main").status + " " + fs.existsSync(join(repo, ".git/objects/info/alternates")));
      process.exit(end.status ?? 1);`,
    agent: `try { fs.readdirSync(fs.readFileSync(join(notes, "mirror"), "utf8")); note("agent", "read"); } catch (error) { note("agent", (error as Error).message); }`,
  });
  const first = launchSpec({ repoUrl: remote });
  await bench.launcher.launch(first);
  const end = await waitForEnd(bench.launcher, first.jobName);
  assert.equal(end.phases.length, 3, end.logTail ?? "");
  const second = launchSpec({ repoUrl: remote });
  await bench.launcher.launch(second);
  const secondEnd = await waitForEnd(bench.launcher, second.jobName);
  assert.equal(bench.note(`checkout-${first.runId}`), "none");
  const mirror = bench.note(`checkout-${second.runId}`);
  assert.ok(mirror.startsWith(join(bench.dataDir, "mirrors")), secondEnd.logTail ?? "");
  assert.equal(bench.note("borrowed"), "0 false", secondEnd.logTail ?? "");
  assert.equal(statSync(mirror).mode & 0o007, 0);
  if (isRoot) assert.match(bench.note("agent"), /EACCES/);
});

test("an SSH remote is reached with the user's key, which the run never sees", { skip: noSsh() }, async (t) => {
  const { port, command, key } = await openSshd(t);
  const remote = makeRemote(t);
  const url = `ssh://${userInfo().username}@127.0.0.1:${port}${remote}`;
  const bench = openBench(
    t,
    {
      checkout: `${GIT} try { fs.readFileSync(${JSON.stringify(key)}); note("key", "seen"); } catch { note("key", "unseen"); } const end = git("clone", "-q", ${told(url)}, repo); process.exit(end.status ?? 1);`,
      agent: commit.replace("process.exit(", 'note("agent", String("GIT_SSH_COMMAND" in process.env)); process.exit('),
      publish: push(url),
    },
    { environment: { ...process.env, GIT_SSH_COMMAND: command } },
  );
  const spec = launchSpec({ repoUrl: url });
  await bench.launcher.launch(spec);
  const end = await waitForEnd(bench.launcher, spec.jobName);
  assert.deepEqual(
    end.phases.map(({ exitCode }) => exitCode),
    [0, 0, 0],
    end.logTail ?? "",
  );
  assert.match(git("-C", remote, "log", "--format=%s", "task"), /^work$/m);
  assert.equal(bench.note("agent"), "false");
  if (isRoot) assert.equal(bench.note("key"), "unseen");
});

/** A bare repository with one commit that nobody but its owner can reach. */
function makeRemote(t: TestContext): string {
  const directory = temporaryDirectory(t, 0o700);
  const remote = join(directory, "remote.git");
  const seed = join(directory, "seed");
  git("init", "-q", "-b", "main", seed);
  writeFileSync(join(seed, "file"), "content");
  git("-C", seed, "add", ".");
  git("-C", seed, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "first");
  git("clone", "-q", "--bare", seed, remote);
  return remote;
}

function git(...args: string[]): string {
  return execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Why the test with a real sshd cannot run here; false if it can. */
function noSsh(): string | false {
  if (sshd() === null) return "sshd is not installed";
  return /(nologin|false)$/.test(userInfo().shell ?? "") ? "this user may not log in" : false;
}

function sshd(): string | null {
  for (const directory of [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]) {
    try {
      accessSync(join(directory, "sshd"), constants.X_OK);
      return join(directory, "sshd");
    } catch {
      // Not here.
    }
  }
  return null;
}

/** A throwaway sshd on loopback that lets this user in with a fresh key. */
async function openSshd(t: TestContext): Promise<{ port: number; command: string; key: string }> {
  const directory = temporaryDirectory(t, 0o700);
  const key = join(directory, "key");
  for (const path of [key, join(directory, "host")])
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
  writeFileSync(join(directory, "authorized"), readFileSync(`${key}.pub`));
  if (isRoot) mkdirSync("/run/sshd", { recursive: true });
  chmodSync(join(directory, "authorized"), 0o600);
  const { port, close } = await startSshd(sshd() ?? "sshd", join(directory, "sshd_config"), [
    `HostKey ${directory}/host`,
    `AuthorizedKeysFile ${directory}/authorized`,
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin yes",
    "PasswordAuthentication no",
    "PidFile none",
  ]);
  t.after(close);
  const known = join(directory, "known_hosts");
  writeFileSync(known, `[127.0.0.1]:${port} ${readFileSync(join(directory, "host.pub"), "utf8")}`);
  return { port, key, command: `ssh -F /dev/null -i ${key} -o IdentitiesOnly=yes -o UserKnownHostsFile=${known}` };
}

test("a mirror that many runs have filled is packed anew, and nothing that somebody borrows is lost", async (t) => {
  const directory = temporaryDirectory(t);
  const clone = join(directory, "clone");
  const git = (repository: string, ...words: string[]): string =>
    execFileSync("git", ["-C", repository, "-c", "user.name=a", "-c", "user.email=a@b", ...words], {
      encoding: "utf8",
    }).trim();
  execFileSync("git", ["init", "--quiet", clone]);
  git(clone, "commit", "--quiet", "--allow-empty", "--message", "Start");
  const mirror = { path: join(directory, "mirrors", "m.git"), gid: null };
  assert.equal(await fillMirror(mirror, clone, t.signal), null);
  const borrowed: string[] = [];
  for (let at = 0; at < 60; at++) {
    writeFileSync(join(clone, "file"), String(at));
    borrowed.push(git(mirror.path, "hash-object", "-w", join(clone, "file")));
    execFileSync("git", ["-C", mirror.path, "pack-objects", "--quiet", "objects/pack/pack"], {
      input: `${borrowed.at(-1)}\n`,
    });
    git(mirror.path, "prune-packed");
  }
  const packs = () => readdirSync(join(mirror.path, "objects/pack")).filter((name) => name.endsWith(".pack"));
  assert.ok(packs().length >= 60);
  assert.equal(await fillMirror(mirror, clone, t.signal), null);
  await waitFor("few packs", () => (packs().length < 5 && !existsSync(join(mirror.path, "gc.pid"))) || undefined);
  for (const sha of borrowed) assert.equal(git(mirror.path, "cat-file", "-t", sha), "blob");
});
