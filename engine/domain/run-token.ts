/**
 * The token of a run: an HMAC of its id under a key that all engines share, so that a successor makes the
 * same one. The database keeps only the hash. Pure.
 */
import { createHash, createHmac, randomUUID } from "node:crypto";

/** The run's token, hex. */
export function runToken(key: Buffer, runId: string): string {
  return createHmac("sha256", key).update(runId).digest("hex");
}

/** What the database compares with: SHA-256 of the token's text. */
export function tokenHash(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Ids for runs to come, with the hashes of their tokens. */
export function makeTickets(key: Buffer, count: number): { runId: string; tokenHash: Buffer }[] {
  return Array.from({ length: count }, () => {
    const runId = randomUUID();
    return { runId, tokenHash: tokenHash(runToken(key, runId)) };
  });
}
