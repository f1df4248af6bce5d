/**
 * The program of test/kubernetes/cluster: built once for each version of its sources (about five minutes on two
 * cores, network for Go's modules, 4 GB of room while it lasts, 130 MB afterwards) and kept in the user's cache
 * directory, never in the checkout.
 *
 * Builders of the same version wait for one another; an interrupted build goes on where it was. Go's build cache is
 * one of its own and goes when the program is there; its module cache is the user's.
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { oneAtATime } from "./one-at-a-time.ts";

const SOURCES = join(import.meta.dirname, "..", "cluster");
const SOURCE_FILES = ["go.mod", "go.sum", "main.go"];
const SAY_EVERY_MS = 15_000;

/** Go 1.21 is the first that fetches the toolchain a go.mod asks for. */
const OLDEST_MINOR_OF_GO = 21;

const run = promisify(execFile);

/** Why the program can be neither found nor built here; null if it can. */
export async function programProblem(): Promise<string | null> {
  if (await exists(await programPath())) return null;
  const minor = await goMinorVersion();
  if (minor === null) return "there is no Go to build the test cluster with";
  if (minor >= OLDEST_MINOR_OF_GO) return null;
  return `Go 1.${minor} is too old to build the test cluster with: it takes 1.${OLDEST_MINOR_OF_GO} or later`;
}

/** Path of the program, which is built first where it is not there yet. `say` hears of a build's progress. */
export async function clusterProgram(say: (line: string) => void = sayOnStderr): Promise<string> {
  const path = await programPath();
  if (await exists(path)) return path;
  return oneAtATime(path, async () => {
    if (!(await exists(path))) await build(path, say);
    return path;
  });
}

async function programPath(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of SOURCE_FILES) hash.update(await readFile(join(SOURCES, file)));
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(cache, "myzel-test-cluster", hash.digest("hex").slice(0, 16), "cluster");
}

async function build(path: string, say: (line: string) => void): Promise<void> {
  const room = `${path}.building`;
  await mkdir(room, { recursive: true });
  const draft = join(room, "cluster");
  const environment = {
    ...process.env,
    CGO_ENABLED: "0",
    GOCACHE: join(room, "cache"),
    // What Go downloads can be deleted again without a chmod.
    GOFLAGS: "-mod=readonly -modcacherw -buildvcs=false",
    GOWORK: "off",
  };
  say("The Kubernetes test cluster is built (once; about five minutes on two cores) …");
  const { stdout } = await run("go", ["list", "-deps", "."], { cwd: SOURCES, env: environment, maxBuffer: 2 ** 24 });
  const packages = stdout.trim().split("\n").length;
  await compile({ draft, environment, onProgress: (done) => say(`  ${done} of ${packages} packages are compiled`) });
  await rename(draft, path);
  await rm(room, { recursive: true, force: true });
  say(`The Kubernetes test cluster is built: ${path}`);
}

interface Compilation {
  readonly draft: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly onProgress: (packages: number) => void;
}

async function compile({ draft, environment, onProgress }: Compilation): Promise<void> {
  const flags = `-s -w ${await versionFlags()}`;
  const child = spawn("go", ["build", "-v", "-trimpath", "-ldflags", flags, "-o", draft, "."], {
    cwd: SOURCES,
    env: environment,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const printed: string[] = [];
  const said = setInterval(() => onProgress(printed.length), SAY_EVERY_MS);
  try {
    createInterface({ input: child.stderr }).on("line", (line) => printed.push(line));
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`the test cluster cannot be built:\n${printed.slice(-20).join("\n")}`);
  } finally {
    clearInterval(said);
    child.kill();
  }
}

/** What `/version` says: without it, a build from modules calls itself v0.0.0, and clients take it for very old. */
async function versionFlags(): Promise<string> {
  const [, version, major, minor] =
    /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(await readFile(join(SOURCES, "go.mod"), "utf8")) ?? [];
  const variables = { gitVersion: version, gitMajor: major, gitMinor: minor };
  return Object.entries(variables)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(" ");
}

/** 26 for Go 1.26.8; null where there is no Go. */
async function goMinorVersion(): Promise<number | null> {
  const answer = await run("go", ["version"]).catch(() => null);
  const minor = /go1\.(\d+)/.exec(answer?.stdout ?? "")?.[1];
  return minor === undefined ? null : Number(minor);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function sayOnStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
