/**
 * The token of a run: made of its id under a key that all engines share, so that a successor makes the
 * same one. The database keeps only the hash. Pure.
 *
 * It has two halves: one of the run's own, and one that all runs share. A Kubernetes Job shows the first to
 * whoever may read Jobs; it is worth nothing without the second, which lies in a Secret
 * (docs/decisions/0007-a-token-in-two-halves.md).
 */
import { createHash, createHmac, randomBytes } from "node:crypto";

/** The run's token: 64 hex digits of its own, then 64 that are the same for all runs under this key. */
export function runToken(key: Buffer, runId: string): string {
  return ownHalf(key, runId) + sharedHalf(key);
}

/** What the database compares with: SHA-256 of the token's text. */
export function tokenHash(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Ids for runs to come, with the hashes of their tokens. */
export function makeTickets(key: Buffer, count: number, nowMs: number): { runId: string; tokenHash: Buffer }[] {
  const shared = sharedHalf(key);
  return Array.from({ length: count }, () => {
    const runId = timeOrderedId(nowMs);
    return { runId, tokenHash: tokenHash(ownHalf(key, runId) + shared) };
  });
}

/** A UUID version 7 (RFC 9562): runs that are made one after the other lie side by side in their indexes. */
function timeOrderedId(nowMs: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function ownHalf(key: Buffer, runId: string): string {
  return createHmac("sha256", key).update(runId).digest("hex");
}

/** Of a text that is no run's id; made once for each key. */
function sharedHalf(key: Buffer): string {
  const made = sharedHalves.get(key) ?? createHmac("sha256", key).update("all runs").digest("hex");
  sharedHalves.set(key, made);
  return made;
}

const sharedHalves = new WeakMap<Buffer, string>();
