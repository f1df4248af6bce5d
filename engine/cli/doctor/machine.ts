/** Checks of this machine: system, programs, data directory, isolation of runs. */
import { execFile } from "node:child_process";
import { statSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { ok, problem, warning } from "../../check.ts";
import type { Check } from "../../check.ts";
import type { Config } from "../../config.ts";
import { LaunchError } from "../../launch/launcher.ts";
import { uidRange } from "../../launch/process/run-uids.ts";
import { systemProblem } from "../engine/supported-system.ts";
import { findProgram } from "../find-program.ts";

const MEBIBYTE = 2 ** 20;
/** An agent's clone and its dependencies easily take as much. */
const LITTLE_SPACE = 2048 * MEBIBYTE;
const NO_SPACE = 200 * MEBIBYTE;

export async function checkMachine(config: Config): Promise<Check[]> {
  return [
    checkSystem(),
    ok("node", `Node.js ${process.versions.node} (${process.execPath})`),
    await checkGit(config),
    checkPsql(),
    checkLauncher(config),
    checkDataDirectory(config.dataDir),
    checkSpace(config),
    checkIsolation(config),
  ];
}

function checkSystem(): Check {
  const sentence = systemProblem();
  if (sentence !== null) return warning("system", sentence, null);
  return ok("system", `${process.platform} ${process.arch}`);
}

async function checkGit({ launcher }: Config): Promise<Check> {
  try {
    const { stdout } = await promisify(execFile)("git", ["--version"], { timeout: 10_000 });
    return ok("git", stdout.trim());
  } catch {
    if (launcher === "kubernetes") return ok("git", "none here; runs bring their own");
    return problem("git", "git is missing: repositories cannot be cloned", "apt install git");
  }
}

function checkPsql(): Check {
  const path = findProgram("psql");
  if (path !== null) return ok("psql", path);
  return warning("psql", "psql is missing: only myzel psql needs it", "apt install postgresql-client");
}

function checkLauncher({ launcher, launcherChosen, maxLiveRuns }: Config): Check {
  const how = launcherChosen ? "chosen" : "by default";
  return ok("launcher", `${launcher}, ${how}; at most ${maxLiveRuns} live runs`);
}

function checkDataDirectory(path: string): Check {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return ok("data directory", `${path} is made at the first start`);
  if (!stat.isDirectory())
    return problem("data directory", `${path} is no directory`, "set MYZEL_DATA_DIR to another place");
  // A volume of its pod, which belongs to the group.
  if (process.env["KUBERNETES_SERVICE_HOST"] !== undefined) return ok("data directory", path);
  if (stat.uid !== process.getuid?.()) {
    return problem(
      "data directory",
      `${path} belongs to another user`,
      "run as that user, or set MYZEL_DATA_DIR to another place",
    );
  }
  // Others may pass through where runs have users of their own; they may never list or write.
  if ((stat.mode & 0o066) !== 0)
    return warning("data directory", `others may read or write ${path}`, `chmod go-rw ${path}`);
  return ok("data directory", path);
}

function checkSpace({ dataDir: path, launcher }: Config): Check {
  const { bavail, bsize } = statfsSync(nearestDirectory(path));
  const free = bavail * bsize;
  const message = `${Math.floor(free / MEBIBYTE)} MiB free in ${path}`;
  if (free < NO_SPACE) return problem("disk", message, "make room, or set MYZEL_DATA_DIR to another place");
  if (free < LITTLE_SPACE && launcher === "process")
    return warning("disk", message, "make room: every run clones its repository there");
  return ok("disk", message);
}

function nearestDirectory(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() || path === dirname(path) ? path : nearestDirectory(dirname(path));
}

function checkIsolation(config: Config): Check {
  const name = "isolation";
  if (config.launcher === "kubernetes") return ok(name, "each run is a pod of its own, without privileges");
  if (process.getuid?.() !== 0) {
    return warning(
      name,
      "runs have your user: agents can do on this machine whatever you can",
      "to give each run a user of its own, run the engine as root",
    );
  }
  try {
    const { first } = uidRange(config.runUidBase);
    return ok(
      name,
      `each run has an unprivileged user of its own, from id ${first} upwards; the file system and the network are shared`,
    );
  } catch (error) {
    if (error instanceof LaunchError) return problem(name, error.message, null);
    throw error;
  }
}
