/**
 * Serves git's connections of checkout and publish on behalf of the user that the engine runs as: with
 * that user's ssh for SSH remotes, directly for repositories of this machine. So neither a key nor an
 * agent's socket nor the right to read a directory ever reaches the run's user.
 *
 * Listens only while one of the two phases runs, for the run's user only.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, rmSync, statSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import type { Readable } from "node:stream";
import type { GitRemote } from "./git-remote.ts";
import { decideRelay, type GitService } from "./relay-request.ts";
import { RUN_FILES, type RunRecord } from "./run-directory.ts";

export interface RelaySettings {
  remote: Extract<GitRemote, { kind: "ssh" | "file" }>;
  mayPush: boolean;
  record: Pick<RunRecord, "uid" | "runUids">;
  /** The engine's: HOME, SSH_AUTH_SOCK and the user's own GIT_SSH_COMMAND. */
  environment: NodeJS.ProcessEnv;
}

const MAX_HEADER_BYTES = 16_384;

/** Starts to serve in the current directory, which must be the run's. Returns the way to stop, which ends every connection. */
export async function openGitRelay(settings: RelaySettings): Promise<() => Promise<void>> {
  const children = new Set<ChildProcess>();
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    serve(socket, settings, children).catch(() => socket.destroy());
  });
  rmSync(RUN_FILES.relay, { force: true });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(RUN_FILES.relay, resolve));
  chmodSync(RUN_FILES.relay, 0o600);
  if (settings.record.uid !== null) chownSync(RUN_FILES.relay, settings.record.uid, settings.record.uid);

  return async () => {
    for (const child of children) endGroup(child);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(RUN_FILES.relay, { force: true });
  };
}

async function serve(socket: Socket, settings: RelaySettings, children: Set<ChildProcess>): Promise<void> {
  const { argv, gitProtocol } = await readHeader(socket);
  const decision = decideRelay(argv, settings.remote, settings.mayPush);
  if ("refusal" in decision) return refuse(socket, decision.refusal);
  const environment = { ...settings.environment };
  delete environment["GIT_PROTOCOL"];
  if (gitProtocol !== null && /^version=[0-2]$/.test(gitProtocol)) environment["GIT_PROTOCOL"] = gitProtocol;

  let child: ChildProcess;
  try {
    child =
      settings.remote.kind === "ssh"
        ? startSsh(settings.remote, decision.service, environment)
        : startLocal(settings.remote.path, decision.service, environment, settings.record.runUids);
  } catch (error) {
    return refuse(socket, (error as Error).message);
  }
  children.add(child);
  const closed = new Promise<number>((resolve) => {
    child.on("error", () => resolve(255));
    child.on("close", (code) => resolve(code ?? 255));
  });
  socket.on("close", () => endGroup(child));
  child.stdin?.on("error", () => undefined);
  if (child.stdin !== null) socket.pipe(child.stdin);
  await Promise.all([forward(child.stdout, 1, socket), forward(child.stderr, 2, socket)]);
  const code = await closed;
  children.delete(child);
  socket.end(frame(3, Buffer.from([code])));
}

/** The user's own ssh, with their configuration, keys and known hosts; it asks nobody anything. */
function startSsh(
  remote: Extract<GitRemote, { kind: "ssh" }>,
  service: GitService,
  environment: NodeJS.ProcessEnv,
): ChildProcess {
  const options = ["BatchMode=yes", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "ControlMaster=no"];
  const words = [
    ...options.flatMap((option) => ["-o", option]),
    ...("GIT_PROTOCOL" in environment ? ["-o", "SendEnv=GIT_PROTOCOL"] : []),
    ...(remote.port === null ? [] : ["-p", remote.port]),
    "--",
    remote.destination,
    `git-${service} ${gitQuoted(remote.path)}`,
  ];
  // A command line of the user's own, run as git itself would run it.
  return spawn("/bin/sh", ["-c", `${sshCommand(environment)} "$@"`, "ssh", ...words], {
    cwd: "/",
    env: { ...environment, SSH_ASKPASS_REQUIRE: "never" },
    detached: true,
    stdio: "pipe",
  });
}

function sshCommand(environment: NodeJS.ProcessEnv): string {
  const fromEnvironment = environment["GIT_SSH_COMMAND"];
  if (fromEnvironment !== undefined && fromEnvironment !== "") return fromEnvironment;
  const configured = spawnSync("git", ["config", "--global", "core.sshCommand"], {
    cwd: "/",
    env: environment,
    encoding: "utf8",
    timeout: 5_000,
  });
  return configured.stdout?.trim() || "ssh";
}

/**
 * Serves a repository of this machine as its owner, hooks included, so that a repository made by
 * anybody else gains nothing by being named in a task.
 * @throws Error with a sentence where there is none, or where it belongs to a run
 */
function startLocal(
  path: string,
  service: GitService,
  environment: NodeJS.ProcessEnv,
  runUids: RunRecord["runUids"],
): ChildProcess {
  const owner = repositoryOwner(path);
  if (owner === null) throw new Error(`${path} is no repository`);
  if (runUids !== null && owner.uid >= runUids.first && owner.uid < runUids.first + runUids.count) {
    throw new Error(`${path} belongs to a run (user ${owner.uid}), and such repositories are not served`);
  }
  const engineIsOwner = owner.uid === process.getuid?.();
  return spawn("git", [service, path], {
    cwd: "/",
    env: engineIsOwner
      ? environment
      : { PATH: environment["PATH"], HOME: "/", GIT_PROTOCOL: environment["GIT_PROTOCOL"] },
    detached: true,
    stdio: "pipe",
    ...(engineIsOwner ? {} : owner),
  });
}

/** Looks where git looks. */
function repositoryOwner(path: string): { uid: number; gid: number } | null {
  for (const candidate of [`${path}/.git`, path, `${path}.git`]) {
    const stat = statSync(candidate, { throwIfNoEntry: false });
    if (stat?.isDirectory() && statSync(`${candidate}/objects`, { throwIfNoEntry: false }) !== undefined) {
      return { uid: stat.uid, gid: stat.gid };
    }
  }
  return null;
}

function readHeader(socket: Socket): Promise<{ argv: string[]; gitProtocol: string | null }> {
  return new Promise((resolve, reject) => {
    let pending: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      pending = Buffer.concat([pending, chunk]);
      const end = pending.indexOf(10);
      if (end === -1 && pending.length < MAX_HEADER_BYTES) return;
      socket.off("data", read);
      socket.pause();
      socket.unshift(pending.subarray(end + 1));
      try {
        resolve(checkedHeader(JSON.parse(pending.subarray(0, end).toString("utf8"))));
      } catch (error) {
        reject(error);
      }
    };
    socket.on("data", read);
    socket.on("close", () => reject(new Error("closed")));
  });
}

function checkedHeader(value: unknown): { argv: string[]; gitProtocol: string | null } {
  const { argv, gitProtocol } = value as { argv: unknown; gitProtocol: unknown };
  if (!Array.isArray(argv) || !argv.every((word) => typeof word === "string")) throw new TypeError("no arguments");
  return { argv, gitProtocol: typeof gitProtocol === "string" ? gitProtocol : null };
}

function refuse(socket: Socket, sentence: string): void {
  socket.write(frame(2, Buffer.from(`myzel: ${sentence}\n`)));
  socket.end(frame(3, Buffer.from([255])));
  socket.resume();
}

async function forward(from: Readable | null, channel: number, socket: Socket): Promise<void> {
  if (from === null) return;
  for await (const chunk of from) {
    if (socket.destroyed) return;
    if (!socket.write(frame(channel, chunk as Buffer))) await drained(socket);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}

function frame(channel: number, content: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(channel, 0);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  } catch {
    // Ended by itself.
  }
}

function gitQuoted(text: string): string {
  return `'${text.replaceAll(/['!]/g, (character) => `'\\${character}'`)}'`;
}
