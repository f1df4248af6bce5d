/** How addresses of repositories are read, and what the relay lets through. Pure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRemote } from "../../engine/launch/process/git-remote.ts";
import { decideRelay } from "../../engine/launch/process/relay-request.ts";

test("an address is read as git reads it", () => {
  const ssh = (destination: string, path: string, port: string | null = null) => ({
    kind: "ssh",
    destination,
    port,
    path,
  });
  const cases: [string | null, object][] = [
    ["git@example.org:team/app.git", ssh("git@example.org", "team/app.git")],
    ["example.org:/srv/app.git", ssh("example.org", "/srv/app.git")],
    ["ssh://git@example.org:2222/team/app.git", ssh("git@example.org", "/team/app.git", "2222")],
    ["ssh://example.org/~me/app.git", ssh("example.org", "~me/app.git")],
    ["ssh://[::1]:22/a%20b", ssh("::1", "/a b", "22")],
    ["file:///srv/my%20app.git", { kind: "file", path: "/srv/my app.git" }],
    ["/srv/app.git", { kind: "file", path: "/srv/app.git" }],
    [
      "https://me@example.org:8443/team/app.git",
      {
        kind: "http",
        protocol: "https",
        host: "example.org:8443",
        path: "team/app.git",
        username: "me",
        password: null,
      },
    ],
  ];
  for (const [url, expected] of cases) assert.deepEqual(parseRemote(url), expected, url ?? "");
});

test("what is no address that is served here, or might be taken for an option, is none", () => {
  const others = [
    null,
    "",
    "-oProxyCommand=x",
    "ext::sh -c x",
    "ssh://-oProxyCommand=x/y",
    "-x@host:y",
    "host with space:x",
    "ssh://host",
    "git://example.org/x",
    "./x",
    "file://host/x",
    "ssh://%zz/x",
  ];
  for (const url of others) assert.deepEqual(parseRemote(url), { kind: "other" }, url ?? "null");
});

const REMOTE = { kind: "ssh", destination: "git@example.org", port: "2222", path: "/it's!.git" } as const;
const FETCH = "git-upload-pack '/it'\\''s'\\!'.git'";

test("the relay opens the run's own repository: for fetching always, for pushing in publish only", () => {
  const words = (command: string) => ["-o", "SendEnv=GIT_PROTOCOL", "-p", "2222", "git@example.org", command];
  const push = FETCH.replace("upload", "receive");
  assert.deepEqual(decideRelay(words(FETCH), REMOTE, false), { service: "upload-pack" });
  assert.deepEqual(decideRelay(words(push), REMOTE, true), { service: "receive-pack" });
  assert.ok("refusal" in decideRelay(words(push), REMOTE, false));
});

test("the relay refuses every other host, repository, command and option", () => {
  const refused = [
    ["-p", "2222", "git@evil.example", FETCH],
    ["-p", "22", "git@example.org", FETCH],
    ["git@example.org", FETCH],
    ["-p", "2222", "git@example.org", "git-upload-pack '/other.git'"],
    ["-p", "2222", "git@example.org", `${FETCH}; id`],
    ["-p", "2222", "git@example.org", "git-upload-archive '/it'"],
    ["-p", "2222", "git@example.org", "id"],
    ["-p", "2222", "git@example.org"],
    ["-p", "2222", "git@example.org", FETCH, "more"],
    ["-o", "ProxyCommand=id", "-p", "2222", "git@example.org", FETCH],
    ["-oProxyCommand=id", "-p", "2222", "git@example.org", FETCH],
    ["-F", "/tmp/config", "-p", "2222", "git@example.org", FETCH],
    [],
  ];
  for (const argv of refused) assert.ok("refusal" in decideRelay(argv, REMOTE, true), argv.join(" "));
});
