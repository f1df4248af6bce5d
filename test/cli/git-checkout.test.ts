/** `myzel enqueue` inside a git checkout: which repository and base it takes, and what it warns of. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readGitCheckout, withoutLogin } from "../../engine/git-checkout.ts";
import { testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { myzel, temporaryDirectory } from "./run-myzel.ts";

describe("myzel enqueue in a git checkout", () => {
  let database: TestDatabase;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let checkout: string;
  let remote: string;

  const git = (cwd: string, ...args: string[]) =>
    execFileSync("git", ["-c", "user.name=T", "-c", "user.email=t@example.com", ...args], {
      cwd,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: directory.path },
    });
  const enqueue = async (cwd: string, ...args: string[]) => {
    const env = { DATABASE_URL: database.url("operator"), MYZEL_DATA_DIR: directory.path, HOME: directory.path };
    const ran = await myzel(["enqueue", "p", "--json", ...args], { cwd, env });
    return { ...ran, task: ran.code === 0 ? JSON.parse(ran.stdout) : null };
  };
  const baseOf = async (id: string) =>
    (await database.pool.query("select base_branch from task_options where task_id = $1", [id])).rows[0]?.base_branch;

  before(async () => {
    database = await testDatabase();
    directory = await temporaryDirectory();
    remote = join(directory.path, "remote.git");
    checkout = join(directory.path, "checkout");
    git(directory.path, "init", "--quiet", "--bare", "--initial-branch=main", remote);
    git(directory.path, "clone", "--quiet", remote, checkout);
    writeFileSync(join(checkout, "a"), "1");
    git(checkout, "checkout", "--quiet", "-B", "main");
    git(checkout, "add", "a");
    git(checkout, "commit", "--quiet", "-m", "one");
    git(checkout, "push", "--quiet", "-u", "origin", "main");
  });
  after(async () => {
    await database.close();
    await directory.remove();
  });

  it("takes origin and the branch one is on, from a subdirectory too, and warns of nothing when all is pushed", async () => {
    const below = join(checkout, "src");
    mkdirSync(below, { recursive: true });
    const { task, stderr } = await enqueue(below);
    assert.equal(task.repo_url, remote);
    assert.equal(await baseOf(task.id), "main");
    assert.equal(stderr, "Note: a new branch starts at main, the branch you are on.\n");
  });

  it("warns of files that are not committed and of commits that are not pushed", async () => {
    writeFileSync(join(checkout, "a"), "2");
    writeFileSync(join(checkout, "b"), "new");
    assert.match((await enqueue(checkout)).stderr, /will not see 2 uncommitted files\./);
    git(checkout, "add", ".");
    git(checkout, "commit", "--quiet", "-m", "two");
    assert.match((await enqueue(checkout)).stderr, /will not see 1 commit that is not pushed\./);
    git(checkout, "push", "--quiet");
    assert.doesNotMatch((await enqueue(checkout)).stderr, /will not see/);
  });

  it("a branch that origin does not have is no base, nor is a detached HEAD; --base goes before", async () => {
    git(checkout, "checkout", "--quiet", "-b", "local-only");
    const local = await enqueue(checkout);
    assert.match(local.stderr, /origin does not have your branch local-only/);
    assert.equal(await baseOf(local.task.id), undefined);
    const chosen = await enqueue(checkout, "--base", "main");
    assert.equal(await baseOf(chosen.task.id), "main");
    git(checkout, "checkout", "--quiet", "--detach");
    assert.match((await enqueue(checkout)).stderr, /you are on no branch/);
    git(checkout, "checkout", "--quiet", "main");
  });

  it("--repo and --no-repo go before the checkout; a checkout without origin is refused", async () => {
    assert.equal((await enqueue(checkout, "--repo", "https://host/other.git")).task.repo_url, "https://host/other.git");
    const none = await enqueue(checkout, "--no-repo");
    assert.deepEqual([none.task.repo_url, none.stderr], [null, ""]);
    const lonely = join(directory.path, "lonely");
    git(directory.path, "init", "--quiet", lonely);
    const refused = await enqueue(lonely);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /has no remote "origin": name the repository with --repo, or say --no-repo/);
  });

  it("a login in the URL of origin is left out, and said, never shown", async () => {
    git(checkout, "remote", "set-url", "origin", "https://me:hush-hush@git.example.com/me/app.git");
    const { task, stderr } = await enqueue(checkout);
    assert.equal(task.repo_url, "https://git.example.com/me/app.git");
    assert.match(stderr, /holds a login, which is left out/);
    assert.doesNotMatch(stderr, /hush/);
    git(checkout, "remote", "set-url", "origin", "git@git.example.com:me/app.git");
    assert.equal((await enqueue(checkout)).task.repo_url, "git@git.example.com:me/app.git");
    git(checkout, "remote", "set-url", "origin", "../remote.git");
    assert.equal((await readGitCheckout(checkout))?.repoUrl, remote);
  });

  it("logins are taken from URLs of every kind; users of SSH remotes stay", () => {
    const cases: [string, string][] = [
      ["https://token@host/x.git", "https://host/x.git"],
      ["https://user:p@ss@host:8443/x.git", "https://host:8443/x.git"],
      ["ssh://git:secret@host:22/x.git", "ssh://git@host:22/x.git"],
      ["ssh://git@host/x.git", "ssh://git@host/x.git"],
      ["git@host:x.git", "git@host:x.git"],
      ["/srv/x@y.git", "/srv/x@y.git"],
      ["https://host/user@name/x.git", "https://host/user@name/x.git"],
    ];
    for (const [url, clean] of cases) assert.deepEqual(withoutLogin(url), { url: clean, hadLogin: url !== clean });
  });

  it("outside of a checkout there is none", async () => {
    assert.equal(await readGitCheckout(directory.path), null);
    assert.equal((await enqueue(directory.path)).task.repo_url, null);
  });
});
