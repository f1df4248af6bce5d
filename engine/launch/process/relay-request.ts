/**
 * Decides what the relay does for a connection that git asks for in a phase. Pure.
 *
 * The relay holds the user's SSH keys, so it opens one repository, the run's own, for fetching, in
 * publish for pushing too, and passes on nothing that the phase wrote: whatever is run is built from
 * the run's remote.
 */
import { FILE_RELAY_URL, type GitRemote } from "./git-remote.ts";

export type GitService = "upload-pack" | "receive-pack";
export type RelayDecision = { service: GitService } | { refusal: string };

/** @param argv what git would have given to ssh */
export function decideRelay(
  argv: readonly string[],
  remote: Extract<GitRemote, { kind: "ssh" | "file" }>,
  mayPush: boolean,
): RelayDecision {
  const request = readArguments(argv);
  if (request === null) return { refusal: "this is no connection that git makes" };
  const expected = expectedAddress(remote);
  if (
    request.destination !== expected.destination ||
    request.port !== expected.port ||
    request.path !== expected.path
  ) {
    return { refusal: "only the repository of this run's task may be reached" };
  }
  if (request.service === "receive-pack" && !mayPush) return { refusal: "only the publish phase may push" };
  return { service: request.service };
}

interface Request {
  destination: string;
  port: string | null;
  service: GitService;
  path: string;
}

/** `[-o SendEnv=GIT_PROTOCOL] [-4|-6] [-p port] <destination> <command>`: all that git ever gives. */
function readArguments(argv: readonly string[]): Request | null {
  const rest = [...argv];
  let port: string | null = null;
  while (rest[0]?.startsWith("-")) {
    const option = rest.shift();
    if (option === "-4" || option === "-6") continue;
    const value = rest.shift();
    if (option === "-o" && value === "SendEnv=GIT_PROTOCOL") continue;
    if (option !== "-p" || value === undefined) return null;
    port = value;
  }
  const [destination, command, ...more] = rest;
  if (destination === undefined || command === undefined || more.length > 0) return null;
  const match = /^git-(upload-pack|receive-pack) '(.*)'$/s.exec(command);
  if (match?.[2] === undefined) return null;
  return { destination, port, service: match[1] as GitService, path: unquoted(match[2]) };
}

/** Undoes git's quoting for the shell, in which `'` and `!` leave the quotes. */
function unquoted(text: string): string {
  return text.replaceAll(/'\\(['!])'/g, "$1");
}

function expectedAddress(remote: Extract<GitRemote, { kind: "ssh" | "file" }>) {
  if (remote.kind === "ssh") return { destination: remote.destination, port: remote.port, path: remote.path };
  const url = new URL(FILE_RELAY_URL);
  return { destination: url.hostname, port: null, path: url.pathname };
}
