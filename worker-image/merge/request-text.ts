/** What a pull request says of itself. Pure. */
import type { Brief, Report } from "../contract.ts";

const MAX_TITLE = 120;
const MAX_BODY = 20_000;

/**
 * The title is that of the newest commit, or the first line of the agent's summary. The summary stands in the body
 * as it is and without effect: in a fence no host takes a line of it for a command, a mention or a link to an issue.
 */
export function requestText(brief: Brief, report: Report, subject: string): { title: string; body: string } {
  const summary = (report.summary ?? "").trim();
  const title = [subject, summary.split("\n")[0] ?? "", `Work of task ${brief.task_id}`]
    .map((line) => line.replace(/[\p{Cc}\s]+/gu, " ").trim())
    .find((line) => line !== "");
  const epic = brief.epic === null ? [] : [`Epic: ${brief.epic.id}`];
  const body = [`Made by Myzel.`, ...fenced(summary), [`Task: ${brief.task_id}`, ...epic].join("\n")];
  return { title: (title ?? "").slice(0, MAX_TITLE), body: body.join("\n\n") };
}

function fenced(text: string): string[] {
  if (text === "") return [];
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = "`".repeat(Math.max(3, longest + 1));
  return [`${fence}text\n${text.slice(0, MAX_BODY)}\n${fence}`];
}
