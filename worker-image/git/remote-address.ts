/** Which addresses of repositories are accepted, and what they mean. Pure. */
import { RunFailure } from "../run-failure.ts";

export interface RemoteAddress {
  kind: "http" | "ssh" | "git" | "file";
  /** What git is told. */
  url: string;
  /** What people are shown. */
  shown: string;
  /** Scheme, host and port of an HTTP remote, to which alone a login is offered; null: never offered. */
  origin: string | null;
}

const SCHEMES: Readonly<Record<string, RemoteAddress["kind"]>> = {
  http: "http",
  https: "http",
  ssh: "ssh",
  "git+ssh": "ssh",
  "ssh+git": "ssh",
  git: "git",
  file: "file",
};

/**
 * Reads an address as git would, and turns away what git might take for something else.
 * @throws RunFailure (`checkout_failed`) with a sentence that holds no login
 */
export function readRemoteAddress(repoUrl: string): RemoteAddress {
  const shown = withoutLogin(repoUrl);
  if (repoUrl.startsWith("-"))
    throw refused(`The repository address "${shown}" begins with "-", which git takes for an option`);
  if (/[\p{Cc}\s]/u.test(repoUrl))
    throw refused("The repository address holds a space, a line break or a control character");
  const helper = /^([A-Za-z0-9+.-]*)::/.exec(repoUrl);
  if (helper !== null) {
    throw refused(`The repository address "${shown}" asks for the transport "${helper[1]}", which is not allowed`);
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(repoUrl)?.[1]?.toLowerCase();
  if (scheme !== undefined) return withScheme(repoUrl, scheme, shown);
  // As a URL, because `git clone` rewrites (insteadOf) and limits transports for URLs only.
  if (repoUrl.startsWith("/")) {
    return { kind: "file", url: `file://${repoUrl.replaceAll("%", "%25")}`, shown, origin: null };
  }
  if (/^(?:[^@/:-][^@/:]*@)?(?:\[[^\]]+\]|[^:/@-][^:/@]*):./.test(repoUrl)) {
    return { kind: "ssh", url: repoUrl, shown, origin: null };
  }
  throw refused(
    `The repository address "${shown}" is none: write https://…, ssh://…, user@host:path, file:///… or an absolute path`,
  );
}

/** The address without user and password, for people. */
function withoutLogin(url: string): string {
  return url.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/\/)[^/?#]*@/, "$1").slice(0, 500);
}

function withScheme(url: string, scheme: string, shown: string): RemoteAddress {
  const kind = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  if (kind === undefined)
    throw refused(`The repository address "${shown}" has the scheme "${scheme}", which is not allowed`);
  if (kind === "file" && !/^file:\/\/\//i.test(url))
    throw refused(`The repository address "${shown}" names no absolute path`);
  // A user of an HTTP address may be a token; one of an SSH address is only a name.
  const login = /^[^:]+:\/\/([^/?#]*)@/.exec(url)?.[1];
  if (login !== undefined && (kind === "http" || login.includes(":"))) {
    throw refused(
      `The address of the repository ${shown} holds a login: whoever reads the database has seen it, so change it, and let git's credential helpers give it to the engine`,
    );
  }
  if (kind !== "http") return { kind, url, shown, origin: null };
  const parsed = URL.parse(url);
  if (parsed === null) throw refused(`The repository address "${shown}" cannot be read`);
  return { kind, url, shown, origin: parsed.origin };
}

function refused(sentence: string): RunFailure {
  return new RunFailure("checkout_failed", `${sentence}.`);
}
