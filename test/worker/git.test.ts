import assert from "node:assert/strict";
import { test } from "node:test";
import { explainGitFailure } from "../../worker-image/git/git-failure.ts";
import { explainRefusal } from "../../worker-image/git/push.ts";
import { parseRemoteState } from "../../worker-image/git/remote-state.ts";
import { decideStart } from "../../worker-image/git/starting-point.ts";

const A = "a".repeat(40);
const B = "b".repeat(40);
const URL_SHOWN = "https://host/x.git";

test("each complaint of git's is one sentence that ends with git's own line", () => {
  const complaints: [stderr: string, kind: string, sentence: string][] = [
    [
      "fatal: could not read Username for 'https://host': terminal prompts disabled",
      "login_needed",
      "The repository https://host/x.git needs a login, and there is none for it (git: could not read Username for 'https://host': terminal prompts disabled).",
    ],
    [
      "remote: Invalid username or token.\nfatal: Authentication failed for 'https://host/x.git/'",
      "login_refused",
      "The login for https://host/x.git was refused (git: Authentication failed for 'https://host/x.git/').",
    ],
    [
      "fatal: unable to access 'https://host/x.git/': The requested URL returned error: 403",
      "login_refused",
      "The login for https://host/x.git was refused (git: unable to access 'https://host/x.git/': The requested URL returned error: 403).",
    ],
    [
      "git@host: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
      "login_refused",
      "The login for https://host/x.git was refused (git: git@host: Permission denied (publickey)).",
    ],
    [
      "remote: Repository not found.\nfatal: repository 'https://host/x.git/' not found",
      "not_found",
      "The repository https://host/x.git was not found (git: Repository not found).",
    ],
    [
      "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output",
      "disk_full",
      "The disk is full (git: write error: No space left on device).",
    ],
    [
      "kex_exchange_identification: Connection closed by remote host\nfatal: Could not read from remote repository.",
      "unreachable",
      "The host of https://host/x.git cannot be reached (git: kex_exchange_identification: Connection closed by remote host).",
    ],
    [
      "fatal: unable to access 'https://host/': server certificate verification failed. CAfile: none",
      "certificate",
      "The certificate of https://host/x.git is not trusted (git: unable to access 'https://host/': server certificate verification failed. CAfile: none).",
    ],
    [
      "fatal: detected dubious ownership in repository at '/x'\nTo add an exception for this directory, call:\n\n\tgit config --global --add safe.directory /x",
      "foreign_owner",
      "The repository https://host/x.git belongs to another user of this machine (git: detected dubious ownership in repository at '/x').",
    ],
    [
      "warning: something\nerror: odd thing\nhint: do this",
      "other",
      "Git failed with https://host/x.git (git: odd thing).",
    ],
    [
      "myzel: /x belongs to a run (user 5), and such repositories are not served\nfatal: Could not read from remote repository.",
      "other",
      "Git failed with https://host/x.git (git: /x belongs to a run (user 5), and such repositories are not served).",
    ],
    ["", "other", "Git failed with https://host/x.git (git: no word)."],
  ];
  for (const [stderr, kind, sentence] of complaints) {
    const failure = explainGitFailure(stderr, URL_SHOWN);
    assert.deepEqual([failure.kind, failure.sentence], [kind, sentence]);
  }
});

test("only what the network did may pass by itself", () => {
  const mayPass = (stderr: string): boolean => explainGitFailure(stderr, URL_SHOWN).mayPass;
  assert.ok(mayPass("fatal: unable to access 'x': Could not resolve host: host"));
  assert.ok(mayPass("fatal: unable to access 'x': The requested URL returned error: 502"));
  assert.ok(mayPass("error: RPC failed; curl 56 Recv failure: Connection reset by peer"));
  assert.ok(!mayPass("fatal: Authentication failed for 'x'"));
  assert.ok(!mayPass("fatal: repository 'x' not found"));
  assert.ok(!mayPass("something new"));
});

test("a refused push tells a branch that moved from a remote that declines", () => {
  const push = (reason: string, stderr = ""): string | null =>
    explainRefusal({ stdout: `To x\n!\t${A}:refs/heads/b\t${reason}\nDone\n`, stderr }, "b");
  const moved = 'The branch "b" has moved on the remote meanwhile; nothing was overwritten and nothing was pushed.';
  assert.equal(push("[rejected] (fetch first)"), moved);
  assert.equal(push("[rejected] (non-fast-forward)"), moved);
  assert.equal(push("[remote rejected] (cannot lock ref 'refs/heads/b': is at 1 but expected 2)"), moved);
  assert.equal(push("[remote rejected] (failed to update ref)"), moved);
  assert.equal(
    push("[remote rejected] (cannot lock ref 'refs/heads/b/c': 'refs/heads/b' exists; cannot create 'refs/heads/b/c')"),
    `The remote refused the push to "b": cannot lock ref 'refs/heads/b/c': 'refs/heads/b' exists; cannot create 'refs/heads/b/c'.`,
  );
  assert.equal(
    push(
      "[remote rejected] (protected branch hook declined)",
      "remote: error: GH006: Protected branch.\nerror: failed",
    ),
    'The remote refused the push to "b": protected branch hook declined (error: GH006: Protected branch).',
  );
  assert.equal(explainRefusal({ stdout: "", stderr: "fatal: unable to access" }, "b"), null);
});

test("the answer of ls-remote is read, whatever else its patterns let through", () => {
  const answer = [
    `ref: refs/heads/main\tHEAD`,
    `${A}\tHEAD`,
    `${A}\trefs/heads/main`,
    `${B}\trefs/heads/x/y`,
    `${B}\trefs/remotes/o/HEAD`,
    "",
  ].join("\n");
  const state = parseRemoteState(answer);
  assert.deepEqual(
    [[...state.branches], state.defaultBranch, state.headSha],
    [
      [
        ["main", A],
        ["x/y", B],
      ],
      "main",
      A,
    ],
  );
  assert.deepEqual(parseRemoteState(""), { branches: new Map(), defaultBranch: null, headSha: null });
});

test("where work starts is decided by the branch, the base, then the default branch", () => {
  const remote = {
    branches: new Map([
      ["main", A],
      ["feature", B],
    ]),
    defaultBranch: "main",
    headSha: A,
  };
  const wanted = { branch: "new", base: null, mayPushDefault: false, defaultBranch: null, merges: null };
  assert.deepEqual(decideStart({ ...wanted, branch: "feature", base: "main" }, remote), {
    kind: "existing_branch",
    from: "feature",
  });
  assert.deepEqual(decideStart({ ...wanted, base: "feature" }, remote), { kind: "new_branch", from: "feature" });
  assert.deepEqual(decideStart(wanted, remote), { kind: "new_branch", from: "main" });
  assert.deepEqual(decideStart(wanted, { ...remote, defaultBranch: null }), { kind: "new_branch_from_head" });
  assert.deepEqual(decideStart(wanted, { branches: new Map(), defaultBranch: null, headSha: null }), { kind: "empty" });
  assert.deepEqual(decideStart({ ...wanted, branch: "main", mayPushDefault: true }, remote), {
    kind: "existing_branch",
    from: "main",
  });
  const develop = { ...remote, branches: new Map([...remote.branches, ["develop", B]]) };
  const ofProject = { ...wanted, defaultBranch: "develop" };
  assert.deepEqual(decideStart(ofProject, develop), { kind: "new_branch", from: "develop" }, "the project's own word");
  const merge = { ...wanted, branch: "main", mayPushDefault: true, merges: "feature" };
  assert.deepEqual(decideStart(merge, remote), { kind: "existing_branch", from: "main" });
});

test("where work cannot start, a sentence says why", () => {
  const remote = { branches: new Map([["feature", B]]), defaultBranch: null, headSha: null };
  const wanted = { branch: "new", base: null, mayPushDefault: false, defaultBranch: null, merges: null };
  const refused = (change: Partial<Parameters<typeof decideStart>[0]>): string => {
    try {
      decideStart({ ...wanted, ...change }, remote);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(refused({}), /give the task a base branch/);
  assert.match(refused({ base: "gone" }), /^The base branch "gone" is not on the remote\.$/);
  assert.match(refused({ branch: "feature/x" }), /beside the branch "feature"/);
  assert.match(refused({ defaultBranch: "main" }), /^The project's default branch "main" is not on the remote\.$/);
  assert.match(refused({ branch: "feature", defaultBranch: "feature" }), /"feature" is the default branch/);
  assert.match(
    refused({ branch: "feature", merges: "gone" }),
    /^The branch to be merged, "gone", is not on the remote/,
  );
  assert.match(
    refused({ branch: "gone", merges: "feature" }),
    /^The target of the merge, "gone", is not on the remote/,
  );
  assert.match(refused({ branch: "feature", merges: "feature" }), /cannot be merged into itself/);
});
