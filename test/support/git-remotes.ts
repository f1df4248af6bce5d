/**
 * Throwaway git remotes, all real: a bare repository of this machine, the same over smart HTTP with a
 * login (`git http-backend` behind a small server), the same over SSH (a `sshd` on loopback).
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { startSshd } from "./sshd.ts";

const GIT_ENVIRONMENT = {
  PATH: process.env["PATH"],
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "Somebody",
  GIT_AUTHOR_EMAIL: "somebody@example.invalid",
  GIT_COMMITTER_NAME: "Somebody",
  GIT_COMMITTER_EMAIL: "somebody@example.invalid",
};

/** git as somebody who is neither the engine nor the agent. @throws Error with what git said */
export function gitAsSomebody(cwd: string, ...args: string[]): string {
  const run = spawnSync("git", args, { cwd, env: GIT_ENVIRONMENT, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`git ${args.join(" ")}: ${run.stderr}`);
  return run.stdout.trim();
}

export interface BareRemote {
  /** `file://…` */
  url: string;
  path: string;
  /** Commits these files on the branch and pushes it; returns the commit. */
  commit(branch: string, files: Record<string, string>, from?: string): string;
  /** The branch's commit; null where there is no such branch. */
  head(branch: string): string | null;
  branches(): string[];
  /** The content of a file on a branch; null where there is none. */
  file(branch: string, path: string): string | null;
  git(...args: string[]): string;
  remove(): void;
}

/** A bare repository, default branch `main`; with a first commit unless `empty`. */
export function bareRemote(options: { empty?: boolean } = {}): BareRemote {
  const directory = mkdtempSync(join(tmpdir(), "myzel-remote-"));
  chmodSync(directory, 0o755);
  const path = join(directory, "project.git");
  const clone = join(directory, "somebody");
  gitAsSomebody(directory, "init", "--quiet", "--bare", "--initial-branch=main", path);
  gitAsSomebody(directory, "clone", "--quiet", path, clone);
  const head = (branch: string): string | null => {
    const run = spawnSync("git", ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`], {
      cwd: path,
      encoding: "utf8",
    });
    return run.status === 0 ? run.stdout.trim() : null;
  };
  const remote: BareRemote = {
    url: `file://${path}`,
    path,
    head,
    commit(branch, files, from = "main") {
      gitAsSomebody(clone, "fetch", "--quiet", "--prune", "origin");
      const start = head(branch) !== null ? branch : head(from) !== null ? from : null;
      if (start === null) gitAsSomebody(clone, "checkout", "--quiet", "--orphan", branch);
      else gitAsSomebody(clone, "checkout", "--quiet", "--force", "-B", branch, `origin/${start}`);
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(clone, name)), { recursive: true });
        writeFileSync(join(clone, name), content);
      }
      gitAsSomebody(clone, "add", "--all", "--force");
      gitAsSomebody(clone, "commit", "--quiet", "--message", `Change ${Object.keys(files).join(", ")}`);
      gitAsSomebody(clone, "push", "--quiet", "origin", `HEAD:refs/heads/${branch}`);
      return gitAsSomebody(clone, "rev-parse", "HEAD");
    },
    branches: () => gitAsSomebody(path, "for-each-ref", "--format=%(refname)").split("\n").filter(Boolean),
    file(branch, name) {
      const run = spawnSync("git", ["show", `refs/heads/${branch}:${name}`], { cwd: path, encoding: "utf8" });
      return run.status === 0 ? run.stdout : null;
    },
    git: (...args) => gitAsSomebody(path, ...args),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
  if (options.empty !== true) remote.commit("main", { "README.md": "# Project\n" });
  return remote;
}

export interface HttpRemote {
  /** `http://127.0.0.1:…/project.git` */
  url: string;
  /** The same repository as hosts name it: `owner/project`, and its address. */
  name: string;
  hostUrl: string;
  port: number;
  /** The Authorization headers that came, decoded, without repeats. */
  logins(): string[];
  /** From now on every request is sent on to this origin. */
  redirectTo(origin: string): void;
  /** Is waited for before each answer. */
  beforeAnswer(work: () => Promise<unknown>): void;
  close(): Promise<void>;
}

/** Serves a bare repository over smart HTTP. Without `login` everybody may read and push. */
export async function httpRemote(
  remote: BareRemote,
  login?: { username: string; password: string },
): Promise<HttpRemote> {
  remote.git("config", "http.receivepack", "true");
  const logins = new Set<string>();
  let redirect: string | null = null;
  let before: () => Promise<unknown> = async () => {};
  const server = createServer((request, response) => {
    const header = request.headers.authorization;
    if (header !== undefined) logins.add(Buffer.from(header.replace(/^Basic /, ""), "base64").toString());
    if (redirect !== null) {
      response.writeHead(302, { location: `${redirect}${request.url}` }).end();
    } else if (login !== undefined && !isLogin(header, login)) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end("Login, please.\n");
    } else {
      before().then(
        () => backend(remote.path, request, response),
        () => response.destroy(),
      );
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/project.git`,
    name: `${basename(dirname(remote.path))}/project`,
    hostUrl: `http://127.0.0.1:${port}/${basename(dirname(remote.path))}/project.git`,
    port,
    logins: () => [...logins],
    redirectTo: (origin) => (redirect = origin),
    beforeAnswer: (work) => (before = work),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function isLogin(header: string | undefined, login: { username: string; password: string }): boolean {
  return header === `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
}

/** One request through git's own CGI program. */
function backend(path: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://localhost");
  const protocol = request.headers["git-protocol"];
  const root = dirname(path);
  const owned = url.pathname.startsWith(`/${basename(root)}/`);
  const child = spawn("git", ["http-backend"], {
    env: {
      ...GIT_ENVIRONMENT,
      GIT_PROJECT_ROOT: owned ? dirname(root) : root,
      GIT_HTTP_EXPORT_ALL: "1",
      REQUEST_METHOD: request.method,
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers["content-type"],
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"],
      REMOTE_USER: "somebody",
      REMOTE_ADDR: "127.0.0.1",
      ...(typeof protocol === "string" ? { GIT_PROTOCOL: protocol } : {}),
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  child.stdin.on("error", () => {});
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  const readHead = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return;
    child.stdout.off("data", readHead);
    const lines = head
      .toString("latin1", 0, end)
      .split("\r\n")
      .map((line) => line.split(": ") as [string, string]);
    const headers = lines.filter(([name]) => name.toLowerCase() !== "status");
    const status = Number.parseInt(lines.find(([name]) => name.toLowerCase() === "status")?.[1] ?? "200", 10);
    response.writeHead(status, Object.fromEntries(headers));
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on("data", readHead);
  child.on("close", () => response.end());
}

const SSHD = "/usr/sbin/sshd";

/** Why no SSH remote can be had here; null if one can. */
export function sshProblem(): string | null {
  if (!existsSync(SSHD)) return "needs OpenSSH's server (Debian: openssh-server)";
  // sshd runs git through the user's shell.
  return /nologin|false/.test(userInfo().shell ?? "") ? "needs a user with a shell" : null;
}

export interface SshRemote {
  url: string;
  /** `GIT_SSH_COMMAND` with the key that is let in. */
  sshCommand: string;
  /** The same with a key that nobody knows. */
  strangerCommand: string;
  /** The same without knowing the host. */
  unknownHostCommand: string;
  close(): Promise<void>;
}

/** Serves a bare repository over SSH, for the user that runs the tests. */
export async function sshRemote(remote: BareRemote): Promise<SshRemote> {
  const directory = mkdtempSync(join(tmpdir(), "myzel-sshd-"));
  // What the service's start makes; sshd wants it where it runs as root.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const file = (name: string): string => join(directory, name);
  for (const key of ["host", "friend", "stranger"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", file(key)]);
  }
  writeFileSync(file("authorized"), readFileSync(file("friend.pub")), { mode: 0o600 });
  const { port, close } = await startSshd(SSHD, file("config"), sshdSettings(directory));
  writeFileSync(file("known"), `[127.0.0.1]:${port} ${readFileSync(file("host.pub"), "utf8")}`);
  const command = (key: string, known: string): string =>
    `ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=yes -o UserKnownHostsFile=${file(known)} -i ${file(key)}`;
  return {
    url: `ssh://${userInfo().username}@127.0.0.1:${port}${remote.path}`,
    sshCommand: command("friend", "known"),
    strangerCommand: command("stranger", "known"),
    unknownHostCommand: command("friend", "known-to-nobody"),
    close: async () => {
      await close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function sshdSettings(directory: string): string[] {
  return [
    `HostKey ${directory}/host`,
    `AuthorizedKeysFile ${directory}/authorized`,
    `PidFile ${directory}/pid`,
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "StrictModes no",
    "PermitRootLogin yes",
    "UsePAM no",
  ];
}
