/** What git's complaints mean, in one sentence each. Pure; the caller masks. */

export type GitFailureKind =
  | "not_found"
  | "login_needed"
  | "login_refused"
  | "host_unknown"
  | "unreachable"
  | "host_key"
  | "not_allowed"
  | "foreign_owner"
  | "certificate"
  | "disk_full"
  | "other";

export interface GitFailure {
  kind: GitFailureKind;
  /** One sentence that ends with git's own line. */
  sentence: string;
  /** Trying again later may help. */
  mayPass: boolean;
}

/** In the order of judgement: what names a cause comes before what only says that it failed. */
const FAILURES: readonly { kind: GitFailureKind; line: RegExp; says: (remote: string) => string }[] = [
  {
    kind: "disk_full",
    line: /No space left on device|Disk quota exceeded/i,
    says: () => "The disk is full",
  },
  {
    kind: "foreign_owner",
    line: /detected dubious ownership/i,
    says: (remote) => `The repository ${remote} belongs to another user of this machine`,
  },
  {
    kind: "not_allowed",
    line: /transport '.*' not allowed|unable to find remote helper|strange (?:host|path)name/i,
    says: (remote) => `The address ${remote} is none that git may use here`,
  },
  {
    kind: "host_key",
    line: /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i,
    says: (remote) => `The SSH host key of ${remote} is not known or has changed`,
  },
  {
    kind: "login_needed",
    line: /could not read (?:Username|Password)|terminal prompts disabled/i,
    says: (remote) => `The repository ${remote} needs a login, and there is none for it`,
  },
  {
    kind: "login_refused",
    line: /Authentication failed|returned error: 40[13]|Permission denied \(|Permission to .* denied|Too many authentication failures/i,
    says: (remote) => `The login for ${remote} was refused`,
  },
  {
    kind: "host_unknown",
    line: /Could not resolve (?:host|proxy)|Name or service not known|Temporary failure in name resolution|unable to look up/i,
    says: (remote) => `The host of ${remote} is unknown`,
  },
  {
    kind: "certificate",
    line: /SSL certificate|certificate verif|server certificate|SSL peer|unable to get local issuer/i,
    says: (remote) => `The certificate of ${remote} is not trusted`,
  },
  {
    kind: "unreachable",
    line: /Failed to connect|Couldn't connect|Connection (?:refused|timed out|reset|closed)|Operation timed out|No route to host|Network is unreachable|unable to connect|Operation too slow|Empty reply from server|returned error: (?:429|5\d\d)|early EOF|unexpected disconnect|hung up unexpectedly|RPC failed/i,
    says: (remote) => `The host of ${remote} cannot be reached`,
  },
  {
    kind: "not_found",
    line: /repository '.*' not found|not found:|does not appear to be a git repository|does not exist|no such repository|is no repository|not valid: is this a git repository|returned error: 404|Repository not found/i,
    says: (remote) => `The repository ${remote} was not found`,
  },
];

const PASSING: ReadonlySet<GitFailureKind> = new Set(["host_unknown", "unreachable"]);

/** Reads what git left on stderr. `remote`: its address as people may see it. */
export function explainGitFailure(stderr: string, remote: string | null): GitFailure {
  const lines = stderr.split(/[\n\r]/).map((line) => line.trim());
  for (const { kind, line, says } of FAILURES) {
    const found = lines.find((candidate) => line.test(candidate));
    if (found !== undefined) return failure(kind, says(remote ?? "the remote"), found);
  }
  return failure("other", remote === null ? "Git failed" : `Git failed with ${remote}`, lastWord(lines));
}

function failure(kind: GitFailureKind, says: string, line: string): GitFailure {
  const quoted = line.replace(/^(?:fatal|error|remote|myzel): /, "").replace(/[.\s]+$/, "");
  return { kind, sentence: `${says} (git: ${quoted.slice(0, 500)}).`, mayPass: PASSING.has(kind) };
}

/** git's last line of weight: an advice that follows the failure is none. */
function lastWord(lines: readonly string[]): string {
  const said = lines.filter((line) => line !== "" && !line.startsWith("hint:"));
  return (
    // A launcher's relay knows more than the git that it turned away.
    said.find((line) => line.startsWith("myzel: ")) ??
    said.findLast((line) => /^(fatal|error|remote): /.test(line)) ??
    said.at(-1) ??
    "no word"
  );
}
