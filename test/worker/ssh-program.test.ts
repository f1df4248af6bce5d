/** The program that git runs for SSH: started once a connection where the launcher says what kind it is. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import { podRun } from "../support/pod-run.ts";

test("a GIT_SSH_VARIANT reaches git, which then does not start the program once more to ask for its kind", async () => {
  const remote = bareRemote();
  const pod = await podRun({ repo_url: `ssh://host${remote.path}` });
  try {
    const program = join(pod.directory, "relay");
    const calls = join(pod.directory, "calls");
    // Its last argument is the command for the other side.
    const script = `echo "$*" >> ${calls}\n[ "$1" = -G ] && exit 0\nfor last; do :; done\nexec sh -c "$last"\n`;
    writeFileSync(program, `#!/bin/sh\n${script}`, { mode: 0o755 });
    const environment = { GIT_SSH_COMMAND: program, GIT_SSH_VARIANT: "ssh" };
    assert.equal((await pod.phase("checkout", environment)).exitCode, 0);
    const started = readFileSync(calls, "utf8").trim().split("\n");
    assert.ok(started.length >= 2, "asked for the branches, cloned");
    for (const call of started) assert.match(call, /^-o SendEnv=GIT_PROTOCOL host git-upload-pack /);
  } finally {
    await pod.close();
    remote.remove();
  }
});
