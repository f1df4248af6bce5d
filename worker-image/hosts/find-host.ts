/** Which host's API serves a repository, and with what: from the brief, the remote's address and the git login. */
import type { BriefHost } from "../contract.ts";
import type { RemoteAddress } from "../git/remote-address.ts";
import { github, GITHUB_HEADERS } from "./github.ts";
import { gitlab } from "./gitlab.ts";
import type { CodeHost } from "./host.ts";
import { type ApiAccess, httpApi } from "./http-api.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the API is and what it calls the repository; or a sentence that says what is missing. Pure. */
export type HostAddress =
  | { api: "github" | "gitlab"; base: string; repository: string; token: string }
  | { problem: string };

/**
 * The git password is the API's token, and goes to nobody but the host of the remote: to the address that its project
 * names, else to the host's usual one. Never over plain HTTP where git itself would not send it so.
 */
export function hostAddress(host: BriefHost, remote: RemoteAddress, environment: Environment): HostAddress {
  if (host.api === null) {
    const sentence = `The host of ${remote.shown} is not known to have pull requests: set host_api of its project, or another merge policy.`;
    return { problem: sentence };
  }
  const web = webAddress(remote);
  if (web === null) return { problem: `${remote.shown} is on no host, so it has no pull requests.` };
  const token = environment["MYZEL_GIT_PASSWORD"];
  if (!token) {
    const sentence = `Pull requests at ${web.host} need a token, and the git login for ${remote.shown} has none: use an https:// address whose password is a token.`;
    return { problem: sentence };
  }
  const base = (host.api_url ?? usualBase(host.api, web)).replace(/\/+$/, "");
  const at = URL.parse(base);
  if (at === null) return { problem: `The address "${base.slice(0, 200)}" of the host's API cannot be read.` };
  if (at.protocol !== "https:" && web.protocol === "https:") {
    return { problem: `The API at ${at.origin} is not reached over https, so the token is not sent there.` };
  }
  const repository = repositoryName(web.pathname, at.pathname);
  if (!(host.api === "github" ? /^[^/]+\/[^/]+$/ : /^[^/]+(\/[^/]+)+$/).test(repository)) {
    return { problem: `The address ${remote.shown} names no repository of ${at.host}: owner/name is expected.` };
  }
  return { api: host.api, base, repository, token };
}

/** The host to talk to, or what is missing for that. */
export function findHost(
  host: BriefHost,
  remote: RemoteAddress,
  access: Pick<ApiAccess, "environment" | "signal" | "patienceMs">,
): CodeHost | { problem: string } {
  const address = hostAddress(host, remote, access.environment);
  if ("problem" in address) return address;
  const { base, token, repository } = address;
  return address.api === "github"
    ? github(httpApi({ ...access, name: "GitHub", base, token, headers: GITHUB_HEADERS }), repository)
    : gitlab(httpApi({ ...access, name: "GitLab", base, token, headers: {} }), repository);
}

/** The remote as an HTTP address without login; null where it has no host that serves one. */
function webAddress(remote: RemoteAddress): URL | null {
  if (remote.kind === "http") return URL.parse(remote.url);
  if (remote.kind !== "ssh") return null;
  const short = /^(?:[^@/]*@)?(\[[^\]]+\]|[^:/@]+):(?!\/\/)(.+)$/.exec(remote.url);
  if (short !== null) return URL.parse(`https://${short[1]}/${short[2]?.replace(/^\/+/, "")}`);
  const long = URL.parse(remote.url);
  return long === null ? null : URL.parse(`https://${long.hostname}${long.pathname}`);
}

function usualBase(api: "github" | "gitlab", web: URL): string {
  if (api === "gitlab") return `${web.origin}/api/v4`;
  return web.hostname === "github.com" ? "https://api.github.com" : `${web.origin}/api/v3`;
}

/** `owner/name` of a path like `/owner/name.git`; without the directory that a whole GitLab may lie in. */
function repositoryName(path: string, apiPath: string): string {
  const directory = apiPath.replace(/\/api\/v\d+$/, "");
  const inside = directory !== apiPath && path.startsWith(`${directory}/`) ? path.slice(directory.length) : path;
  const name = inside.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
