/** What is asked of a repository's host, whichever it is. */
import type { z } from "zod";

/** A pull request (GitHub) or merge request (GitLab). */
export interface PullRequest {
  number: number;
  /** For people. */
  url: string;
  state: "open" | "merged" | "closed";
  /** The commit that would be merged. */
  headSha: string;
  /** What the merge made of the target; null where it is not merged or the host does not say. */
  mergeCommit: string | null;
  /** Whether it conflicts with its target; null while the host is still finding out. */
  conflicts: boolean | null;
}

export interface Check {
  name: string;
  /** Where to read more; null where the host names no place. */
  url: string | null;
  state: "passed" | "failed" | "running";
}

export interface Branches {
  source: string;
  target: string;
}

/** All calls throw HostError where the host refuses or cannot be reached. */
export interface CodeHost {
  name: "GitHub" | "GitLab";
  /** What the host calls a pull request. */
  noun: "pull request" | "merge request";
  /** The open one of these branches; where there is none, the newest one that was merged; null: neither. */
  find(branches: Branches): Promise<PullRequest | null>;
  /** Opens one; where there is an open one already, returns that. */
  open(branches: Branches, text: { title: string; body: string }): Promise<PullRequest>;
  read(number: number): Promise<PullRequest>;
  /**
   * The checks that decide about a merge into the target: those that the host requires, or, where it requires
   * none, all that were reported for the commit. A required one that nobody has reported yet is `running`.
   */
  checks(pull: PullRequest, target: string): Promise<Check[]>;
  /** Merges it if its head still is `sha`. @returns the commit that the merge made; null where the host does not say */
  merge(pull: PullRequest, sha: string): Promise<string | null>;
}

/** The host said no, or nothing. The message is a sentence for people without any secret. */
export class HostError extends Error {
  override readonly name = "HostError";
  /** HTTP status; null where there was no answer. */
  readonly status: number | null;
  /** The host's own words; empty where it had none. */
  readonly said: string;
  constructor(sentence: string, { status, said = "" }: { status: number | null; said?: string }) {
    super(sentence);
    this.status = status;
    this.said = said;
  }
  /** Whether what was asked may have been done all the same. */
  get mayBeDone(): boolean {
    return this.status === null || this.status >= 500;
  }
}

/** The answer as the schema has it. @throws HostError where it is something else */
export function readAnswer<Schema extends z.ZodType>(host: CodeHost["name"], schema: Schema, answer: unknown) {
  const read = schema.safeParse(answer);
  if (read.success) return read.data;
  const field = read.error.issues[0]?.path.join(".") || "all of it";
  throw new HostError(`${host} answered with something else than its API promises (${field}).`, { status: 200 });
}
