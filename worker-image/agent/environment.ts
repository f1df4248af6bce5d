/**
 * The environments of what the phase starts. Each begins empty and takes an allow-list: what the phase
 * itself was given does not leak, and a profile cannot switch off what keeps a run safe.
 */
import { join } from "node:path";
import { type Brief, WORKSPACE } from "../contract.ts";
import { profileSecrets } from "../profile-secrets.ts";
import type { Login } from "./login.ts";

type Variables = Record<string, string>;
type PhaseVariables = Readonly<Record<string, string | undefined>>;

/** Never taken from a profile: they would move the login, the session or the conversation elsewhere. */
const RESERVED =
  /^(HOME|TMPDIR|CLAUDE_CONFIG_DIR|CLAUDE_CODE_TMPDIR|CLAUDE_CODE_OAUTH_\w+|ANTHROPIC_BASE_URL|MYZEL_\w+)$/;

/** How Claude Code behaves as a one-shot program; each was seen to work with Claude Code 2.1.329. */
const CLAUDE_SWITCHES: Variables = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_AUTOUPDATER: "1",
  // A background shell would keep the run from ending.
  CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
  // With --add-dir, brings the repository's CLAUDE.md back, which no setting sources drop.
  CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD: "1",
  // `@path` in a prompt stays text; else the CLI reads that file and attaches it, wherever it lies.
  CLAUDE_CODE_DISABLE_FILE_MENTIONS: "1",
};

/** For the CLI, and so for every command of the agent: the Claude login and the profile's secrets, no other credential. */
export function agentEnvironment(phase: PhaseVariables, brief: Brief, workspace: string, login: Login): Variables {
  return {
    ...environmentWith({ ...brief.profile.environment, ...profileSecrets(phase) }, { phase, brief, workspace }),
    ...CLAUDE_SWITCHES,
    CLAUDE_CODE_TMPDIR: join(workspace, WORKSPACE.tmp),
    ...(login.kind === "token" ? { CLAUDE_CODE_OAUTH_TOKEN: login.token } : {}),
    ...(phase["MYZEL_MODEL_BASE_URL"] ? { ANTHROPIC_BASE_URL: phase["MYZEL_MODEL_BASE_URL"] } : {}),
  };
}

/** For the commands of setup and checks: the same without any credential, the profile's secrets included. */
export function workEnvironment(phase: PhaseVariables, brief: Brief, workspace: string): Variables {
  return environmentWith(brief.profile.environment, { phase, brief, workspace });
}

function environmentWith(
  given: Variables,
  { phase, brief, workspace }: { phase: PhaseVariables; brief: Brief; workspace: string },
): Variables {
  const fromProfile = Object.entries(given).filter(([name]) => !RESERVED.test(name));
  return {
    PATH: phase["PATH"] || "/usr/local/bin:/usr/bin:/bin",
    LANG: phase["LANG"] || "C.UTF-8",
    ...(phase["TZ"] ? { TZ: phase["TZ"] } : {}),
    SHELL: "/bin/bash",
    ...Object.fromEntries(fromProfile),
    HOME: join(workspace, WORKSPACE.home),
    TMPDIR: join(workspace, WORKSPACE.tmp),
    ...gitEnvironment(brief),
  };
}

/** Who commits, and that git asks nobody and runs no hooks unless the profile lets it. */
function gitEnvironment(brief: Brief): Variables {
  const name = `Myzel agent ${brief.addressee}`.replace(/[\p{Cc}<>]/gu, " ");
  const identity = {
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: "agent@myzel.invalid",
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: "agent@myzel.invalid",
    GIT_TERMINAL_PROMPT: "0",
  };
  if (brief.profile.run_commit_hooks) return identity;
  return {
    ...identity,
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "core.hooksPath",
    GIT_CONFIG_VALUE_0: "/dev/null",
  };
}
