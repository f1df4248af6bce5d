/**
 * A git that may talk to the brief's remote, with the login where there is one.
 *
 * The login is offered by a credential helper whose text names variables, so that no value is on a
 * command line or in a file, and only to the remote's own scheme, host and port: a redirect elsewhere
 * finds none.
 */
import type { RemoteAddress } from "./remote-address.ts";
import { gitEnvironment, type GitContext } from "./run-git.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Of the phase's own variables, what git's transports need. */
const PASSED_ON = [
  "GIT_SSL_CAINFO",
  "GIT_SSH_VARIANT",
  "SSH_AUTH_SOCK",
  "http_proxy",
  "https_proxy",
  "HTTPS_PROXY",
  "all_proxy",
  "ALL_PROXY",
  "no_proxy",
  "NO_PROXY",
] as const;

const HELPER =
  '!f() { test "$1" = get || exit 0; printf "username=%s\\npassword=%s\\n" "$MYZEL_GIT_USERNAME" "$MYZEL_GIT_PASSWORD"; }; f';

/** Bytes a second below which a transfer counts as dead, and for how long. */
const STALLED = { bytesPerSecond: 1, seconds: 120 };

/** git with access to the remote. `home`: a directory that nobody but this phase writes to. */
export function remoteGit(
  phase: Environment,
  remote: RemoteAddress,
  where: { home: string; signal: AbortSignal },
): GitContext {
  const password = phase["MYZEL_GIT_PASSWORD"];
  const hasLogin = remote.origin !== null && Boolean(password);
  const config = {
    ...insteadOf(phase["MYZEL_GIT_INSTEAD_OF"]),
    ...(hasLogin ? { [`credential.${remote.origin}.helper`]: HELPER } : {}),
    "http.lowSpeedLimit": String(STALLED.bytesPerSecond),
    "http.lowSpeedTime": String(STALLED.seconds),
  };
  const passedOn = PASSED_ON.flatMap((name) => (phase[name] ? [[name, phase[name]] as const] : []));
  const environment = {
    ...gitEnvironment({ path: phase["PATH"] ?? "/usr/bin:/bin", home: where.home, config }),
    ...Object.fromEntries(passedOn),
    GIT_ALLOW_PROTOCOL: "file:http:https:ssh:git",
    GIT_SSH_COMMAND: phase["GIT_SSH_COMMAND"] || "ssh -o BatchMode=yes -o ConnectTimeout=30",
    ...(hasLogin
      ? { MYZEL_GIT_USERNAME: phase["MYZEL_GIT_USERNAME"] || "git", MYZEL_GIT_PASSWORD: password ?? "" }
      : {}),
  };
  return { environment, cwd: where.home, signal: where.signal, remote: remote.shown };
}

/** git without any remote: only repositories of this machine, no login. */
export function localGit(phase: Environment, where: { home: string; signal: AbortSignal }): GitContext {
  const environment = gitEnvironment({ path: phase["PATH"] ?? "/usr/bin:/bin", home: where.home });
  return { environment, cwd: where.home, signal: where.signal };
}

/** `<address>=<address that git uses in its place>`: set by a launcher that relays connections. */
function insteadOf(rule: string | undefined): Record<string, string> {
  const at = rule?.lastIndexOf("=") ?? -1;
  return rule === undefined || at <= 0 ? {} : { [`url.${rule.slice(at + 1)}.insteadOf`]: rule.slice(0, at) };
}
