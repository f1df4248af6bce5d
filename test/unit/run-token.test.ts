import assert from "node:assert/strict";
import { it } from "node:test";
import { makeTickets, runToken, tokenHash } from "../../engine/domain/run-token.ts";

const KEY = Buffer.alloc(32, 7);

it("runs that are made later have later ids, UUIDs of version 7", () => {
  const early = makeTickets(KEY, 3, Date.parse("2026-01-01T00:00:00Z")).map(({ runId }) => runId);
  const late = makeTickets(KEY, 3, Date.parse("2026-01-01T00:00:01Z")).map(({ runId }) => runId);
  assert.equal(new Set([...early, ...late]).size, 6);
  for (const id of [...early, ...late])
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  for (const id of early) for (const other of late) assert.ok(id < other);
});

it("a ticket's hash is that of the token that any engine with the same key makes", () => {
  for (const { runId, tokenHash: hash } of makeTickets(KEY, 2, 0)) {
    assert.deepEqual(hash, tokenHash(runToken(KEY, runId)));
    assert.notDeepEqual(hash, tokenHash(runToken(Buffer.alloc(32, 8), runId)));
  }
});
