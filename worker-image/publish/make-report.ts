/** Pushes what is to be pushed, and makes the report of it. */
import { mkdir } from "node:fs/promises";
import type { Brief, Report } from "../contract.ts";
import { GitError } from "../git/run-git.ts";
import { offerOf } from "../mcp/offer.ts";
import { finishOnHost } from "../merge/finish-on-host.ts";
import type { EndedEpics } from "../plan/ended-sections.ts";
import { isPlanner } from "../plan/planner.ts";
import { leftOut, publishPlan } from "../plan/publish-plan.ts";
import { RunFailure } from "../run-failure.ts";
import { cleanReport } from "./clean-report.ts";
import { demandChecks } from "./demand-checks.ts";
import { failedToAsk, failedToPublish, mayPush, spokenReport } from "./judge-report.ts";
import { readOutbox } from "./outbox.ts";
import { readOutcome } from "./outcome.ts";
import { type PublishPhase, workOf } from "./publish-phase.ts";
import { readNote } from "./agent-work.ts";
import { type Published, publishWork } from "./publish-work.ts";
import { copyRemote, type RemoteCopy, wasPublished, type Work } from "./remote-copy.ts";

/** How long a merge waits for the checks of its pull request. */
const CHECKS_WAIT_SECONDS = 15 * 60;

const MAX_NAMED_PATHS = 20;

/**
 * The report, not masked, once the work is pushed; or that of an earlier attempt, whose announced commit is on the
 * remote.
 * @throws Fenced, DatabaseUnreachable, DatabaseRefused; the signal's reason
 */
export async function makeReport(phase: PublishPhase, brief: Brief): Promise<Report> {
  const { MYZEL_WORKSPACE: workspace } = phase.variables;
  const outcome = demandChecks(await readOutcome(workspace), brief);
  // The note may be forged: then the run is repeated, a few times at most.
  const skipped = outcome === null && (await readNote(workspace)).already_published === true;
  const spoken = spokenReport(outcome, await readOutbox(workspace, offerOf(brief)), skipped);
  const work = workOf(phase, brief);
  const pushes = mayPush(outcome, brief);
  const earlier = brief.announced;
  if (work === null || (!pushes && earlier === null)) return spoken;
  const announce = (report: Report): Promise<void> =>
    phase.database.writeReport(cleanReport(report, phase.masker), { final: false });
  let onRemote: Report | null = null;
  try {
    await mkdir(work.privateDir, { recursive: true });
    const copy = await copyRemote(work);
    if (earlier !== null && (await wasPublished(work, copy, earlier))) {
      onRemote = earlier;
      // As this attempt's own, for the next one looks no further back.
      await announce(earlier);
    } else if (pushes) {
      const published = await publishIt(phase, work, copy, (published) => announce({ ...spoken, ...published }));
      onRemote = { ...spoken, ...published };
    }
    return onRemote === null ? spoken : await onHost(phase, { work, copy, announce }, onRemote);
  } catch (error) {
    const failure = failureOf(error);
    if (onRemote !== null || pushes) return failedToPublish(onRemote ?? spoken, failure);
    process.stderr.write(`${phase.masker.text(`The remote could not be asked: ${failure.error}`)}\n`);
    return failedToAsk(spoken, failure);
  }
}

/** A planner's section of the plan, or all of a worker's work. */
async function publishIt(
  phase: PublishPhase,
  work: Work,
  copy: RemoteCopy,
  announce: (published: Published) => Promise<void>,
): Promise<Published> {
  const { brief } = work;
  if (!isPlanner(brief)) return publishWork(work, copy, announce);
  const endedEpics: EndedEpics = (ids) => phase.database.endedEpics(ids);
  const published = await publishPlan({ ...work, brief }, copy, { announce, endedEpics });
  const paths = await leftOut({ ...work, brief }, copy).catch((error: unknown) => {
    // The plan is published; what cannot be read is not missed.
    if (error instanceof RunFailure || error instanceof GitError) return [];
    throw error;
  });
  if (paths.length > 0) process.stderr.write(`${phase.masker.text(notPublished(paths))}\n`);
  return published;
}

function notPublished(paths: readonly string[]): string {
  const more = paths.length > MAX_NAMED_PATHS ? ` and ${paths.length - MAX_NAMED_PATHS} more` : "";
  return `Of Green only the plan is published; left out: ${paths.slice(0, MAX_NAMED_PATHS).join(", ")}${more}.`;
}

/** What is left to do at the repository's host. */
function onHost(
  { environment, masker }: PublishPhase,
  given: Pick<Parameters<typeof finishOnHost>[0], "work" | "copy" | "announce">,
  report: Report,
): Promise<Report> {
  const checksPatienceMs = Number(environment["MYZEL_CHECKS_WAIT_SECONDS"] || CHECKS_WAIT_SECONDS) * 1000;
  return finishOnHost({ ...given, environment, checksPatienceMs, mask: (text) => masker.text(text) }, report);
}

/** @throws what is no failure of the work */
function failureOf(error: unknown): Pick<Report, "code" | "error"> {
  if (error instanceof RunFailure) {
    // Judged by the rules of checkout, but found out here.
    return { code: error.code === "checkout_failed" ? "push_rejected" : error.code, error: error.message };
  }
  if (error instanceof GitError) return { code: "push_rejected", error: error.message };
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return { code: "push_rejected", error: "The disk is full, so nothing could be pushed." };
  }
  throw error;
}
