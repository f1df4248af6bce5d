/** What a repository's address means for the launcher: which transport, and what git will ask of it. Pure. */

export type GitRemote =
  | { kind: "http"; protocol: string; host: string; path: string; username: string | null; password: string | null }
  | { kind: "ssh"; destination: string; port: string | null; path: string }
  | { kind: "file"; path: string }
  /** None, or one that checkout refuses. */
  | { kind: "other" };

/** The host part of the address that file remotes get where they go through the relay. */
export const FILE_RELAY_URL = "ssh://myzel-relay/repository";

/** Reads an address as git does. Never throws. */
export function parseRemote(url: string | null): GitRemote {
  if (url === null || url.startsWith("-")) return { kind: "other" };
  if (url.startsWith("/")) return { kind: "file", path: url };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  try {
    if (scheme === "file") return fileRemote(url);
    if (scheme === "http" || scheme === "https") return httpRemote(new URL(url));
    if (scheme === "ssh" || scheme === "git+ssh" || scheme === "ssh+git") return sshRemote(url);
    return scheme === undefined ? scpRemote(url) : { kind: "other" };
  } catch {
    return { kind: "other" };
  }
}

/** A plain path as the URL that git is told: `git clone` replaces an address only where it is a URL. */
export function fileUrl(path: string): string {
  return `file://${path.replaceAll("%", "%25")}`;
}

/** The address without a login in it, for names and logs. */
export function withoutLogin(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1");
}

function fileRemote(url: string): GitRemote {
  const path = decodeURIComponent(url.slice("file://".length));
  return path.startsWith("/") ? { kind: "file", path } : { kind: "other" };
}

function httpRemote(url: URL): GitRemote {
  return {
    kind: "http",
    protocol: url.protocol.slice(0, -1),
    host: url.host,
    path: url.pathname.slice(1),
    username: url.username === "" ? null : decodeURIComponent(url.username),
    password: url.password === "" ? null : decodeURIComponent(url.password),
  };
}

/** `ssh://[user@]host[:port]/path`; `/~user/…` loses its first slash, as git has it. */
function sshRemote(url: string): GitRemote {
  const match = /^[^:]+:\/\/(?:([^@/]+)@)?(\[[^\]]+\]|[^:/]+)(?::(\d+)?)?(\/.*)$/.exec(decodeURIComponent(url));
  const path = match?.[4];
  if (path === undefined) return { kind: "other" };
  return sshTo(match?.[1], match?.[2] ?? "", match?.[3] ?? null, path.startsWith("/~") ? path.slice(1) : path);
}

/** `[user@]host:path` */
function scpRemote(url: string): GitRemote {
  const match = /^(?:([^@/:]+)@)?(\[[^\]]+\]|[^:/]+):(.+)$/s.exec(url);
  // `ext::…` and its like are transports of their own.
  if (match?.[3] === undefined || match[3].startsWith(":")) return { kind: "other" };
  return sshTo(match[1], match[2] ?? "", null, match[3].startsWith("/~") ? match[3].slice(1) : match[3]);
}

function sshTo(user: string | undefined, bracketed: string, port: string | null, path: string): GitRemote {
  const host = bracketed.replace(/^\[(.*)\]$/, "$1");
  if (!/^[A-Za-z0-9_.:%-]+$/.test(host) || host.startsWith("-")) return { kind: "other" };
  if (user !== undefined && (!/^[A-Za-z0-9_.+%~-]+$/.test(user) || user.startsWith("-"))) return { kind: "other" };
  return { kind: "ssh", destination: user === undefined ? host : `${user}@${host}`, port, path };
}
