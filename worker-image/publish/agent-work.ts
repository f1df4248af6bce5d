/** What the agent left in its work tree, and where checkout says that it began. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { type CheckoutRecord, WORKSPACE } from "../contract.ts";
import { isSparse } from "../git/agent-repository.ts";
import { commitLeftovers } from "../git/leftovers.ts";
import { fetchAgentHead, isOnRemote, SHA } from "../git/private-repository.ts";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";
import { RunFailure } from "../run-failure.ts";
import { baseTip, type RemoteCopy, tipOf, type Work } from "./remote-copy.ts";

/**
 * What the agent made, be it new or not: its HEAD, with what it left uncommitted as the last commit. Where its repository
 * cannot be read, all files on top of where it began.
 * @throws RunFailure, GitError
 */
export async function findHead(work: Work, copy: RemoteCopy): Promise<string | null> {
  const workTree = join(work.workspace, WORKSPACE.repo);
  if (!(await isRealDirectory(workTree))) {
    throw new RunFailure("push_rejected", "The agent removed its work tree, so there is nothing to push.");
  }
  const agentHead = await fetchAgentHead(copy.local, { workTree, view: join(work.privateDir, "view.git") });
  const base = async () =>
    (await startedFrom(work, copy)) ?? (await tipOf(copy, copy.branch)) ?? (await baseTip(work, copy));
  return commitLeftovers(copy.local, {
    workTree,
    index: join(work.privateDir, "index"),
    parent: agentHead ?? (await base()),
    sparse: await isSparse(join(workTree, ".git")),
    message: `Keep what the agent left uncommitted\n\nMyzel-Task: ${work.brief.task_id}\n`,
    author: `Myzel agent ${work.brief.addressee}`.replace(/[\p{Cc}<>]/gu, " "),
    date_seconds: await endOfAgent(work.workspace),
  });
}

/** When the agent ended. Of a file that stays as it is, so that the same work makes the same commit. */
export async function endOfAgent(workspace: string): Promise<number> {
  const stat = await lstat(join(workspace, WORKSPACE.outcome)).catch(() => null);
  const now = Math.floor(Date.now() / 1000);
  return stat === null ? now : Math.min(now, Math.max(0, Math.floor(stat.mtimeMs / 1000)));
}

/** The commit that checkout noted, if it is one of the remote's: the note itself may be forged. */
export async function startedFrom(work: Work, copy: RemoteCopy): Promise<string | null> {
  const sha = await notedStart(work.workspace);
  return sha !== null && (await isOnRemote(copy.local, sha)) ? sha : null;
}

/** The commit that checkout noted, as the agent left that note; null where there is none. */
export async function notedStart(
  workspace: string,
  which: "start_sha" | "shown_sha" = "start_sha",
): Promise<string | null> {
  const sha = (await readNote(workspace))[which];
  return typeof sha === "string" && SHA.test(sha) ? sha : null;
}

/** What checkout noted, as the agent left it: anything may be in it; nothing where it cannot be read. */
export async function readNote(workspace: string): Promise<Partial<Record<keyof CheckoutRecord, unknown>>> {
  const content = await readSmallFile(join(workspace, WORKSPACE.checkout), 65_536);
  try {
    return content === null ? {} : (JSON.parse(content.toString("utf8")) ?? {});
  } catch {
    return {};
  }
}
