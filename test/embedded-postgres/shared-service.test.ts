/** What test processes of one checkout share, where its owner goes at the wrong moment. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sharedService } from "../support/shared-service.ts";

const SERVICE_OWNER = join(import.meta.dirname, "..", "support", "service-owner.ts");

test("an owner that ends before it has taken a call is replaced by the caller", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "myzel-service-"));
  chmodSync(directory, 0o755);
  t.after(() => rmSync(directory, { recursive: true }));
  const owner = join(directory, "owner.ts");
  // The first one listens, takes no call, and is gone a second later; the next one does its work.
  writeFileSync(
    owner,
    `import { existsSync, readFileSync, writeFileSync } from "node:fs";
     import { createServer } from "node:net";
     import { ownService } from ${JSON.stringify(SERVICE_OWNER)};
     const first = ${JSON.stringify(join(directory, "first"))};
     let isFirst = true;
     try { writeFileSync(first, String(process.pid), { flag: "wx" }); } catch { isFirst = false; }
     if (!isFirst && existsSync("/proc/" + readFileSync(first, "utf8"))) process.exit(0);
     if (!isFirst) await ownService(async () => ({ answer: "well", stop: async () => {} }));
     else createServer().listen("\\0" + process.argv[2], () => {
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
       process.kill(process.pid, "SIGKILL");
     });`,
  );
  const name = `service-of-${process.pid}`;
  assert.equal(await sharedService<string>({ name, owner, startTimeoutMs: 60_000 }), "well");
});
