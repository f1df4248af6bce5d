/** Leaves a report for the engine where the database cannot take it: whole or not at all, for its reader only. */
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../contract.ts";

/** Writes `report.json` into the directory. */
export async function spoolReport(directory: string, report: Report): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fresh = join(directory, `report.${process.pid}.new`);
  const file = await open(fresh, "w", 0o600);
  try {
    await file.writeFile(JSON.stringify(report));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, join(directory, "report.json"));
}
