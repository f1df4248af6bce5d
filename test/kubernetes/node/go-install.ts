/** Programs of published Go modules, pinned by version. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "./program.ts";

/** Why nothing can be built here; false if it can (for `skip`). */
export async function goProblem(): Promise<string | false> {
  return runProgram("go", ["version"]).then(
    () => false,
    () => "there is no Go to build it with",
  );
}

/** Builds the programs (`module/path@version`) into `directory`. The build's own cache goes afterwards. */
export async function goInstall(programs: readonly string[], directory: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "myzel-go-"));
  try {
    await runProgram("go", ["install", "-trimpath", "-ldflags", "-s -w", ...programs], {
      cwd: scratch,
      environment: {
        CGO_ENABLED: "0",
        GOBIN: directory,
        GOCACHE: join(scratch, "cache"),
        // What Go downloads can be deleted again without a chmod.
        GOFLAGS: "-modcacherw",
        GOWORK: "off",
      },
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
