/** What the API server refused or could not be asked. Expected failures have a name; their text holds no secret. */

export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status; null: there was no answer. */
  readonly status: number | null;
  /** As in the API's Status object, `AlreadyExists` for one. */
  readonly reason: string;
  /** When the server wants to be asked again. */
  readonly retryAfterMs: number | null;

  constructor(
    known: { status: number | null; reason?: string; message: string; retryAfterMs?: number | null },
    options?: ErrorOptions,
  ) {
    super(known.message, options);
    this.status = known.status;
    this.reason = known.reason ?? "";
    this.retryAfterMs = known.retryAfterMs ?? null;
  }
}

export function isStatus(error: unknown, status: number): error is ApiError {
  return error instanceof ApiError && error.status === status;
}

/** A server that has just started does not know its users' roles yet. */
const PASSING = new Set([401, 403, 408, 429]);

/** Whether the same request may succeed a moment later. */
export function mayPass(error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  const { status } = error;
  return status === null || PASSING.has(status) || status >= 500;
}

/** The server is too busy or away: that concerns all requests, and says nothing of this one. */
export function isBusy({ status }: ApiError): boolean {
  return status === null || status === 429;
}

/** The error of an answer; its body is the API's Status object, where it is one. */
export function errorOfAnswer(status: number, headers: Readonly<Record<string, unknown>>, body: string): ApiError {
  const seconds = Number(headers["retry-after"] ?? NaN);
  const retryAfterMs = Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : null;
  try {
    const { reason = "", message = "" } = JSON.parse(body) as { reason?: string; message?: string };
    return new ApiError({ status, reason, message: message || `HTTP ${status}`, retryAfterMs });
  } catch {
    return new ApiError({ status, message: `HTTP ${status}: ${body.slice(0, 300).trim()}`, retryAfterMs });
  }
}
