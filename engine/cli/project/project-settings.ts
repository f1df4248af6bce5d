/** What may be set of a project: one option a column, the same for `project add` and `project set`. */
import { EPIC_LIMITS } from "../column-options.ts";
import type { ColumnOption } from "../column-options.ts";
import { dollars, wholeNumber } from "../option-values.ts";

export const REPOSITORY: readonly ColumnOption[] = [
  {
    flags: "--repo <url>",
    column: "repo_url",
    help: "its repository (add: default origin of the checkout you are in)",
  },
  {
    flags: "--default-branch <name>",
    column: "default_branch",
    help: "where work is merged (default: the remote's own)",
  },
  { flags: "--plan-branch <name>", column: "plan_branch", help: "where plans are committed (default: myzel/plan)" },
  {
    flags: "--merge-policy <policy>",
    column: "merge_policy",
    help: "how work gets merged (default: pull_request where the host has them, else approval by a person)",
    choices: ["pull_request", "approval", "auto"],
  },
  {
    flags: "--host-api <api>",
    column: "host_api",
    help: "which API the host speaks (default: by its name)",
    choices: ["github", "gitlab"],
  },
  { flags: "--host-api-url <url>", column: "host_api_url", help: "where its API is (default: the public one)" },
];

export const RUNS: readonly ColumnOption[] = [
  { flags: "--setup <command>", column: "setup_command", help: "run before the agent, without any credential" },
  { flags: "--check <command>", column: "check_command", help: "run at the end; work that fails it is not pushed" },
  { flags: "--green-profile <name>", column: "green_profile", help: "how Green is run (default: by addressee)" },
  { flags: "--red-profile <name>", column: "red_profile", help: "how Reds are run (default: by addressee)" },
  {
    flags: "--credential <name>",
    column: "credential",
    help: "Claude credential of its runs (default: the profile's)",
  },
  { flags: "--approver <addressee>", column: "approver", help: "who is asked and approves (default: blue)" },
  {
    flags: "--max-live-runs <n>",
    column: "max_live_runs",
    help: "runs at a time in all of it (default: no limit)",
    parse: wholeNumber,
  },
  {
    flags: "--max-daily-cost <usd>",
    column: "max_daily_cost_usd",
    help: "at list price; nothing more starts until the day (UTC) is over (default: no limit)",
    parse: dollars,
  },
];

/** Of the epics that are filed from now on. */
export const EPICS: readonly ColumnOption[] = EPIC_LIMITS.map((limit) => ({
  ...limit,
  flags: limit.flags.replace("--", "--epic-"),
  column: `epic_${limit.column}`,
}));

export const PROJECT_SETTINGS: readonly ColumnOption[] = [...REPOSITORY, ...RUNS, ...EPICS];
