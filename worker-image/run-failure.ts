/** A run that cannot go on, as its report will say it: a failure code and a sentence for people. */
import type { FailureCode, Report } from "./contract.ts";

export class RunFailure extends Error {
  override readonly name = "RunFailure";
  readonly code: FailureCode;
  constructor(code: FailureCode, sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.code = code;
  }
}

/** A report of a run whose agent said nothing. */
export function failedReport(failure: { code: FailureCode; error: string }): Report {
  return {
    success: false,
    code: failure.code,
    error: failure.error,
    summary: null,
    logs: null,
    cost_usd: 0,
    turns: 0,
    input_tokens: 0,
    output_tokens: 0,
    cache_read_tokens: 0,
    cache_creation_tokens: 0,
    session_id: null,
    model: null,
    resets_at: null,
    checks: null,
    branch: null,
    commit_sha: null,
    files_changed: [],
    pull_request_url: null,
    tasks: [],
    finish_epic: null,
    warned_until: null,
    paid_usage: false,
    work_kept: false,
  };
}
