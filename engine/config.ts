/**
 * Every setting, once: name, default, unit, help text. Parsed at start, frozen, passed down; nothing
 * else reads the environment.
 */
import { availableParallelism, totalmem } from "node:os";
import { isAbsolute } from "node:path";
import { z } from "zod";
import { defaultDataDir } from "./data-directory.ts";

/** All mistakes of the configuration, reported together. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `5s`, `250ms`, `30d` → milliseconds; null where the text is no duration. */
function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  const unit = match?.[2] === undefined ? undefined : UNITS_MS[match[2]];
  return match?.[1] === undefined || unit === undefined ? null : Math.round(Number(match[1]) * unit);
}

const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms === null || ms <= 0) {
        context.addIssue({
          code: "custom",
          message: `"${text}" is no duration; write it like 500ms, 5s, 10m, 12h or 30d`,
        });
        return z.NEVER;
      }
      return ms;
    });

const UNITS_BYTES: Record<string, number> = { KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

const size = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const match = /^(\d+(?:\.\d+)?)(KB|MB|GB|TB)$/.exec(text.trim().toUpperCase());
      const bytes = Math.round(Number(match?.[1]) * (UNITS_BYTES[match?.[2] ?? ""] ?? NaN));
      if (!(bytes >= 1 && Number.isSafeInteger(bytes))) {
        context.addIssue({ code: "custom", message: `"${text}" is no size; write it like 500MB, 10GB or 1TB` });
        return z.NEVER;
      }
      return bytes;
    });

const wholeNumber = (min: number, max: number) =>
  z.string().transform((text, context) => {
    const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : NaN;
    if (!(value >= min && value <= max)) {
      context.addIssue({ code: "custom", message: `"${text}" is no whole number from ${min} to ${max}` });
      return z.NEVER;
    }
    return value;
  });

const absolutePath = z.string().refine((path) => isAbsolute(path), "must be an absolute path");

const quantity = (form: RegExp, example: string) => z.string().regex(form, `is no quantity; write it like ${example}`);

const postgresUrl = z
  .string()
  .refine((text) => /^postgres(ql)?:\/\//.test(text), "must begin with postgres:// or postgresql://");

const schema = z.object({
  DATABASE_URL: postgresUrl
    .optional()
    .describe("server of one's own (15 or newer); without it `up` starts the embedded one"),
  MYZEL_POD_DATABASE_URL: postgresUrl
    .optional()
    .describe("how checkout and publish reach the database (role pod); default: the login that `up` made"),
  MYZEL_DATA_DIR: z
    .string()
    .refine((path) => isAbsolute(path), "must be an absolute path")
    .optional()
    .describe("embedded database, run directories, caches, stored logins"),
  MYZEL_LAUNCHER: z.enum(["process", "kubernetes"]).optional().describe("where runs happen: process or kubernetes"),
  MYZEL_POLL_INTERVAL: duration("5s").describe("safety net of dispatch: look at least so often"),
  MYZEL_MAX_LIVE_RUNS: wholeNumber(1, 100_000).optional().describe("global limit of live runs"),
  MYZEL_FOLLOWED_RUNS: wholeNumber(0, 1_000)
    .default(100)
    .describe("most live runs whose log is stored while they run; 0: none"),
  MYZEL_MODEL_BASE_URL: z
    .url()
    .optional()
    .describe("another model endpoint for the agents (a gateway; a scripted model in tests)"),
  MYZEL_LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("how much is logged"),
  MYZEL_ROLE_PREFIX: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,39}$/, "must be lower-case letters, digits and _, at most 40")
    .default("myzel")
    .describe("prefix of the database roles <prefix>_engine, _operator, _reader, _pod"),
  MYZEL_RUN_UID_BASE: wholeNumber(1000, 2_147_000_000)
    .default(1_900_000_000)
    .describe("first user id for runs where the engine is root"),
  MYZEL_CLONE_DEPTH: wholeNumber(1, 1_000_000).optional().describe("shallow clones of so many commits; default: whole"),
  MYZEL_CHECKS_WAIT: duration("15m")
    // A run has half an hour for what is not the agent's.
    .refine((ms) => ms >= 1000 && ms <= 20 * 60_000, "must be from 1s to 20m")
    .describe("how long a merge waits for the checks of its pull request"),
  MYZEL_KEEP_TRANSCRIPTS: duration("30d").describe("age at which transcripts are pruned"),
  MYZEL_MAX_TRANSCRIPTS: size("10GB").describe("most bytes of transcripts (compressed); the oldest are pruned"),
  MYZEL_KEEP_RUNS: duration("365d").describe("age at which runs and audit rows are pruned"),
  MYZEL_MAX_RUNS: wholeNumber(1, 1e15 - 1)
    .default(1_000_000)
    .describe("most runs that have ended; the oldest are pruned"),
  MYZEL_HTTP_PORT: wholeNumber(1, 65_535)
    .optional()
    .describe("port of /livez and /readyz; default: 8080 in a cluster, else none"),
  CLAUDE_CODE_OAUTH_TOKEN: z.string().min(1).optional().describe("Claude token of the credential `default`"),
  KUBECONFIG: z.string().optional().describe("cluster to use outside of one"),
  MYZEL_NAMESPACE: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "is no name of a namespace")
    .optional()
    .describe("where runs happen (kubernetes); default: the engine's own namespace, or the kubeconfig's"),
  MYZEL_INSTANCE: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/, "must be lower-case letters, digits and -, at most 40")
    .default("myzel")
    .describe("tells installations apart that share a namespace"),
  MYZEL_WORKER_IMAGE: z
    .string()
    .min(1)
    .default("myzel-worker")
    .describe("image of runs whose profile names none (kubernetes)"),
  MYZEL_RUN_CPU: quantity(/^\d+(\.\d+)?m?$/, "2 or 500m")
    .default("2")
    .describe("cpu limit of a run (kubernetes)"),
  MYZEL_RUN_MEMORY: quantity(/^\d+[KMGT]i?$/i, "4Gi")
    .default("4Gi")
    .describe("memory of a run (kubernetes)"),
  MYZEL_RUN_DISK: quantity(/^\d+[GT]i?$/, "10Gi")
    .default("10Gi")
    .describe("what a run may write (kubernetes)"),
  MYZEL_CLAUDE_SECRET: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[-._A-Za-z0-9]+$/, "must be SECRET/KEY")
    .default("myzel-claude/token")
    .describe("Secret and key of the credential `default` (kubernetes)"),
  MYZEL_POD_TEMPLATE: absolutePath.optional().describe("YAML file: what is added to every pod (kubernetes)"),
  MYZEL_GIT_SECRETS: absolutePath.optional().describe("YAML file: which Secret is for which repository (kubernetes)"),
  MYZEL_STUCK_AFTER: duration("5m").describe("a run without its image or configuration is given up (kubernetes)"),
  MYZEL_CREATES_AT_ONCE: wholeNumber(1, 500).default(20).describe("most Jobs being created at a time (kubernetes)"),
});

export type SettingName = keyof typeof schema.shape;

/** The settings under the names that the code uses. Durations are milliseconds. */
export interface Config {
  readonly databaseUrl: string | undefined;
  readonly podDatabaseUrl: string | undefined;
  readonly dataDir: string;
  readonly launcher: "process" | "kubernetes";
  /** Whether the launcher was chosen by a setting or flag, not by default. */
  readonly launcherChosen: boolean;
  readonly pollIntervalMs: number;
  readonly maxLiveRuns: number;
  readonly followedRuns: number;
  readonly modelBaseUrl: string | undefined;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly rolePrefix: string;
  readonly runUidBase: number;
  readonly cloneDepth: number | undefined;
  readonly checksWaitSeconds: number;
  readonly keepTranscriptsMs: number;
  readonly maxTranscriptBytes: number;
  readonly keepRunsMs: number;
  readonly maxRuns: number;
  /** Undefined: nothing is served. */
  readonly httpPort: number | undefined;
  /** Held for the process launcher's default credential; never logged. */
  readonly claudeToken: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly kubernetes: KubernetesConfig;
}

/** What only the Kubernetes launcher needs. */
interface KubernetesConfig {
  readonly namespace: string | undefined;
  readonly instance: string;
  readonly workerImage: string;
  readonly cpu: string;
  readonly memory: string;
  readonly disk: string;
  readonly claudeSecret: { readonly name: string; readonly key: string };
  readonly podTemplateFile: string | undefined;
  readonly gitSecretsFile: string | undefined;
  readonly stuckAfterMs: number;
  readonly createsAtOnce: number;
}

/** Name, help and default of every setting, for `--help` and the docs. */
export function describeSettings(): { name: SettingName; help: string }[] {
  return (Object.keys(schema.shape) as SettingName[]).map((name) => ({
    name,
    help: schema.shape[name].description ?? "",
  }));
}

/**
 * Parses the settings; `flags` (by setting name) win over the environment. An empty variable counts as
 * not set.
 * @throws ConfigError with every mistake, each with its setting's name
 */
export function loadConfig(environment: NodeJS.ProcessEnv, flags: Partial<Record<SettingName, string>> = {}): Config {
  const given: Record<string, string> = {};
  for (const name of Object.keys(schema.shape) as SettingName[]) {
    const value = flags[name] ?? environment[name];
    if (value !== undefined && value !== "") given[name] = value;
  }
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`));
  }
  const value = parsed.data;
  const inCluster = environment["KUBERNETES_SERVICE_HOST"] !== undefined;
  const launcher = value.MYZEL_LAUNCHER ?? (inCluster ? "kubernetes" : "process");
  return Object.freeze({
    databaseUrl: value.DATABASE_URL,
    podDatabaseUrl: value.MYZEL_POD_DATABASE_URL,
    dataDir: value.MYZEL_DATA_DIR ?? defaultDataDir(environment),
    launcher,
    launcherChosen: value.MYZEL_LAUNCHER !== undefined,
    pollIntervalMs: value.MYZEL_POLL_INTERVAL,
    maxLiveRuns: value.MYZEL_MAX_LIVE_RUNS ?? (launcher === "kubernetes" ? 100 : defaultProcessRuns()),
    followedRuns: value.MYZEL_FOLLOWED_RUNS,
    modelBaseUrl: value.MYZEL_MODEL_BASE_URL,
    logLevel: value.MYZEL_LOG_LEVEL,
    rolePrefix: value.MYZEL_ROLE_PREFIX,
    runUidBase: value.MYZEL_RUN_UID_BASE,
    cloneDepth: value.MYZEL_CLONE_DEPTH,
    checksWaitSeconds: Math.ceil(value.MYZEL_CHECKS_WAIT / 1000),
    keepTranscriptsMs: value.MYZEL_KEEP_TRANSCRIPTS,
    maxTranscriptBytes: value.MYZEL_MAX_TRANSCRIPTS,
    keepRunsMs: value.MYZEL_KEEP_RUNS,
    maxRuns: value.MYZEL_MAX_RUNS,
    httpPort: value.MYZEL_HTTP_PORT ?? (inCluster ? 8080 : undefined),
    claudeToken: value.CLAUDE_CODE_OAUTH_TOKEN,
    kubeconfig: value.KUBECONFIG,
    kubernetes: kubernetesConfig(value),
  });
}

function kubernetesConfig(value: z.infer<typeof schema>): KubernetesConfig {
  const [name = "", key = ""] = value.MYZEL_CLAUDE_SECRET.split("/");
  return Object.freeze({
    namespace: value.MYZEL_NAMESPACE,
    instance: value.MYZEL_INSTANCE,
    workerImage: value.MYZEL_WORKER_IMAGE,
    cpu: value.MYZEL_RUN_CPU,
    memory: value.MYZEL_RUN_MEMORY,
    disk: value.MYZEL_RUN_DISK,
    claudeSecret: { name, key },
    podTemplateFile: value.MYZEL_POD_TEMPLATE,
    gitSecretsFile: value.MYZEL_GIT_SECRETS,
    stuckAfterMs: value.MYZEL_STUCK_AFTER,
    createsAtOnce: value.MYZEL_CREATES_AT_ONCE,
  });
}

/** Two agents a core (they mostly wait for the model), at most one for each GiB of memory. */
function defaultProcessRuns(): number {
  return Math.max(1, Math.min(availableParallelism() * 2, Math.floor(totalmem() / 2 ** 30)));
}
