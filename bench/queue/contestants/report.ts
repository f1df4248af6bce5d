/** The report of a run that did its work: small, as most are. */
import type { Report } from "../../../worker-image/contract.ts";

export const REPORT: Report = {
  success: true,
  code: null,
  error: null,
  summary: "done",
  logs: null,
  cost_usd: 0,
  turns: 1,
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
};
