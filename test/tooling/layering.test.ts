import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";

const ROOT = join(import.meta.dirname, "..", "..");

/** What may not be imported where. */
const FORBIDDEN: readonly (readonly [file: string, source: string])[] = [
  ["engine/domain/a.ts", 'import { readFile } from "node:fs/promises";'],
  ["engine/domain/b.ts", 'import type { Pool } from "pg";'],
  ["engine/domain/c.ts", 'export { sql } from "kysely";'],
  ["engine/domain/d.ts", 'import { claimRuns } from "../store/dispatch.ts";'],
  ["engine/domain/e.ts", 'export const net = () => import("node:net");'],
  ["engine/domain/f.ts", 'import type { Launcher } from "../launch/launcher.ts";'],
  ["engine/domain/g.ts", "export const directory = process.cwd();"],
  ["engine/store/a.ts", 'import type { Launcher } from "../launch/launcher.ts";'],
  ["engine/store/b.ts", 'import { startLoop } from "../loops/loop.ts";'],
  ["engine/store/c.ts", 'import { output } from "../cli/output.ts";'],
  ["engine/launch/process/a.ts", 'import { openDatabase } from "../../store/connection.ts";'],
  ["engine/launch/process/b.ts", 'import type { Pool } from "pg";'],
  ["engine/launch/process/c.ts", 'import { KubeConfig } from "@kubernetes/client-node";'],
  ["engine/launch/kubernetes/d.ts", 'import { openDatabase } from "../../store/connection.ts";'],
  ["engine/loops/a.ts", 'import pg from "pg";'],
  ["engine/loops/b.ts", 'import { output } from "../cli/output.ts";'],
  ["engine/loops/c.ts", 'import { processLauncher } from "../launch/process/process-launcher.ts";'],
  ["engine/cron/a.ts", 'import { sql } from "kysely";'],
  ["engine/cli/a.ts", 'import pg from "pg";'],
  ["engine/http/a.ts", 'import { KubeConfig } from "@kubernetes/client-node";'],
  ["engine/embedded-postgres/a.ts", 'import { migrateDatabase } from "../store/migrate.ts";'],
  ["engine/top.ts", 'import { Kysely } from "kysely";'],
  ["worker-image/a.ts", 'import { loadConfig } from "../engine/config.ts";'],
  ["worker-image/phases/b.ts", 'import type { Config } from "../../engine/config.ts";'],
];

const ALLOWED: readonly (readonly [file: string, source: string])[] = [
  ["engine/domain/y.ts", 'export { z } from "zod";'],
  ["engine/domain/z.ts", 'export type { Report } from "../../worker-image/contract.ts";'],
  ["engine/store/z.ts", 'export { Kysely } from "kysely";'],
  ["engine/launch/process/z.ts", 'export { spawn } from "node:child_process";'],
  ["engine/launch/kubernetes/z.ts", 'export { KubeConfig } from "@kubernetes/client-node";'],
  ["engine/loops/y.ts", 'export type { Launcher } from "../launch/launcher.ts";'],
  ["engine/loops/z.ts", 'export { openDatabase } from "../store/connection.ts";'],
  ["engine/cli/z.ts", 'export { processLauncher } from "../launch/process/process-launcher.ts";'],
  ["worker-image/z.ts", 'export { PHASES } from "./contract.ts";'],
];

/** Lints a tree of such files with the project's own rules; returns the files that a layering rule objects to. */
function offenders(t: TestContext, files: readonly (readonly [string, string])[]): Set<string> {
  const directory = mkdtempSync(join(tmpdir(), "myzel-layers-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const config = JSON.parse(readFileSync(join(ROOT, ".oxlintrc.json"), "utf8")) as { options: { typeAware: boolean } };
  // The files import what is not there: types say nothing of them.
  config.options.typeAware = false;
  writeFileSync(join(directory, ".oxlintrc.json"), JSON.stringify(config));
  for (const [file, source] of files) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), `${source}\n`);
  }
  const program = join(ROOT, "node_modules", "oxlint", "bin", "oxlint");
  const { stdout, stderr } = spawnSync(process.execPath, [program, "--format=json", "."], {
    cwd: directory,
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] };
  return new Set(
    diagnostics.filter(({ code }) => /no-restricted-(imports|globals)/.test(code)).map((it) => it.filename),
  );
}

test("every import across the layers in the wrong direction is an error", (t) => {
  const found = offenders(t, FORBIDDEN);
  assert.deepEqual(
    FORBIDDEN.filter(([file]) => !found.has(file)),
    [],
  );
});

test("imports in the right direction are none", (t) => {
  assert.deepEqual([...offenders(t, ALLOWED)], []);
});
