/** Where a program lies on the PATH. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Its path; null where the PATH has none. */
export function findProgram(name: string): string | null {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory || ".", name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not there
    }
  }
  return null;
}
