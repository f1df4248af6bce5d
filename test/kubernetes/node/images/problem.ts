/** What building images needs of the machine. */
import { runProgram } from "../program.ts";

const PROGRAMS = ["buildah", "debootstrap", "npm"];

/** Why images cannot be built here; false if they can (for `skip`). */
export async function imagesProblem(): Promise<string | false> {
  if (process.getuid?.() !== 0) return "building images needs root";
  for (const program of PROGRAMS) {
    const there = await runProgram(program, ["--version"]).then(
      () => true,
      () => false,
    );
    if (!there) return `building images needs ${program} (Debian: buildah, debootstrap)`;
  }
  return false;
}
