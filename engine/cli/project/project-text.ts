/** Projects in words for people. */
import type { ShownProject } from "../../store/projects.ts";
import { facts, localTime, money, oneLine, table } from "../terminal/terminal-text.ts";

/** The list of `myzel project list`. */
export function projectTable(projects: readonly ShownProject[]): string {
  const rows = projects.map((project) => [
    oneLine(project.name),
    project.paused ? "paused" : "open",
    String(project.active_epics),
    limited(project.live_runs, project.max_live_runs),
    costToday(project),
    mergeWords(project),
    oneLine(project.repo_url, 100),
  ]);
  return table(["NAME", "STATE", "EPICS", "LIVE", "TODAY", "MERGES", "REPOSITORY"], rows);
}

/** Everything about one project. */
export function projectText(project: ShownProject): string {
  return [
    `Project ${oneLine(project.name)}${project.paused ? " (paused: nothing of it starts)" : ""}`,
    facts([
      ["repository", oneLine(project.repo_url)],
      ["default branch", oneLine(project.default_branch ?? "the remote's own")],
      ["plan branch", oneLine(project.plan_branch)],
      ["merges", `${mergeWords(project)}${project.merge_policy === null ? " (by default)" : ""}`],
      ["host's API", hostWords(project)],
      ["setup", command(project.setup_command)],
      ["check", command(project.check_command)],
      ["Green's profile", oneLine(project.green_profile ?? "")],
      ["Reds' profile", oneLine(project.red_profile ?? "")],
      ["credential", oneLine(project.credential ?? "")],
      ["approver", oneLine(project.approver)],
      ["added", localTime(project.created_at)],
      ["epics", `${project.active_epics} active`],
      ["live runs", limited(project.live_runs, project.max_live_runs)],
      ["cost today", `${costToday(project)} at list price`],
      ["epic limits", epicLimits(project)],
    ]),
  ].join("\n");
}

function costToday({ cost_today_usd, max_daily_cost_usd }: ShownProject): string {
  return max_daily_cost_usd === null
    ? money(cost_today_usd)
    : `${money(cost_today_usd)} of ${money(max_daily_cost_usd)}`;
}

function mergeWords(project: ShownProject): string {
  return { pull_request: "by pull request", approval: "when approved", auto: "by itself" }[project.merges_by];
}

function hostWords({ host_api, host_api_url }: ShownProject): string {
  return [host_api, host_api_url]
    .filter((part) => part !== null)
    .map((part) => oneLine(part))
    .join(" at ");
}

function command(text: string | null): string {
  return text === null ? "none" : oneLine(text, 200);
}

/** Those that differ from every epic's. */
function epicLimits(project: ShownProject): string {
  const limits = [
    count(project.epic_max_tasks, "tasks"),
    count(project.epic_max_tasks_per_run, "tasks a run"),
    count(project.epic_max_depth, "deep"),
    count(project.epic_max_failures_in_a_row, "failures in a row"),
    count(project.epic_max_runs, "runs"),
    count(project.epic_max_live_runs, "live runs"),
    count(project.epic_max_tokens, "tokens"),
    project.epic_max_cost_usd === null ? null : money(project.epic_max_cost_usd),
    project.epic_max_wall_time === null ? null : oneLine(project.epic_max_wall_time),
  ].filter((limit) => limit !== null);
  return limits.length === 0 ? "the usual ones" : limits.join(", ");
}

function count(limit: number | null, what: string): string | null {
  return limit === null ? null : `${limit.toLocaleString("en-US")} ${what}`;
}

function limited(used: number, limit: number | null): string {
  return limit === null ? String(used) : `${used} of ${limit}`;
}
