/**
 * Going on with what an earlier attempt left: what the agent is told, and how it shows that its session cannot be
 * gone on with.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Brief, type CheckoutRecord, type ContinuedWork, WORKSPACE } from "../contract.ts";
import { asData } from "./data-marks.ts";
import { firstMessage } from "./first-message.ts";
import type { Verdict } from "./judge.ts";
import type { StreamFacts } from "./stream-facts.ts";

/** What checkout laid out of an earlier attempt; null: nothing. Read before the agent could touch it. */
export function readContinued(workspace: string): ContinuedWork | null {
  try {
    const record = JSON.parse(readFileSync(join(workspace, WORKSPACE.checkout), "utf8")) as CheckoutRecord;
    return record.continued ?? null;
  } catch {
    return null;
  }
}

/** The first message where the session goes on. */
export function continueMessage(brief: Brief, continued: ContinuedWork): string {
  return [
    `Your run was interrupted. ${howItEnded(continued)} This is a new run on a new machine, and you go on from there.`,
    whatIsThere(brief, continued),
    // A person may have added a note to the prompt, and what a limit interrupted is in the session.
    continued.code === "usage_limit" ? "Go on with your task." : `Go on with your task:\n\n${brief.prompt}`,
  ].join("\n\n");
}

/** The first message where the work is there and the session is not. */
export function takeOverMessage(brief: Brief, continued: ContinuedWork): string {
  const done =
    continued.commits === ""
      ? []
      : [
          `What it has done is on your branch. ${WIP} Look at it first, and go on from there. Its commits, the newest first:`,
          asData("git log", continued.commits),
        ];
  return [firstMessage(brief), `An earlier attempt at this task was cut short. ${howItEnded(continued)}`, ...done].join(
    "\n\n",
  );
}

/** Whether an invocation that was to go on with a session never got anywhere with it, so that a new one is tried. */
export function isRefusedSession({ verdict, facts }: { verdict: Verdict; facts: StreamFacts }): boolean {
  if (verdict.success || verdict.code !== "agent_error") return false;
  return facts.usage.output_tokens + facts.usageHeard.output_tokens === 0;
}

/** What the lost session had asked for will be asked for again. */
export function emptyOutbox(workspace: string): void {
  rmSync(join(workspace, WORKSPACE.outbox), { recursive: true, force: true });
}

const WIP = "What was not committed then is its last commit.";

function howItEnded({ code, error }: ContinuedWork): string {
  if (code === "usage_limit") return "A usage limit was reached.";
  return `It ended as ${code ?? "failed"}${error === null ? "." : `: ${error.slice(0, 1000)}`}`;
}

function whatIsThere(brief: Brief, { commits, code }: ContinuedWork): string {
  if (brief.branch === null) return "The files that you had are gone.";
  const work =
    commits === "" ? "You had left no work in the repository." : `Your work is on branch ${brief.branch}. ${WIP}`;
  const moved = code === "push_rejected" ? ` Where the branch has moved, merge origin/${brief.branch} first.` : "";
  return `${work}${moved} Whatever lay outside of the repository is gone.`;
}
