/**
 * Cilium's agent and CNI plugin, built from its published module (go.mod beside this file pins it), with what they need
 * of its sources: the datapath, which the agent compiles itself, and the kinds that it keeps its state in.
 */
import { createHash } from "node:crypto";
import { access, cp, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { cached } from "../cache.ts";
import { runProgram } from "../program.ts";

const SOURCES = import.meta.dirname;
const MODULE = "github.com/cilium/cilium";
const KINDS = "pkg/k8s/apis/cilium.io/client/crds";

/** Programs on the PATH. clang is Debian's: the datapath does not compile without warnings, which count, in much newer ones. */
const NEEDED = ["/usr/bin/clang", "/usr/sbin/bpftool", "/usr/bin/nsenter", "/usr/sbin/iptables"];

/** Why there can be no Cilium here; false if there can (for `skip`). */
export async function ciliumProblem(): Promise<string | false> {
  for (const path of NEEDED) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (!there) return `Cilium needs ${path} (Debian: clang, bpftool, util-linux, iptables)`;
  }
  return false;
}

/**
 * The directory with `daemon`, `cilium-cni`, `bpf/` and `kinds/` (ten minutes of processor time and 2 GB of room while it
 * is built, once; 160 MB afterwards).
 */
export async function ciliumPrograms(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of ["go.mod", "go.sum"]) hash.update(await readFile(join(SOURCES, name)));
  return cached({ name: "cilium", version: hash.digest("hex").slice(0, 16) }, async (draft) => {
    const cache = join(draft, "go-cache");
    await mkdir(cache);
    const options = {
      cwd: SOURCES,
      environment: {
        CGO_ENABLED: "0",
        GOCACHE: cache,
        GOFLAGS: "-mod=readonly -modcacherw -buildvcs=false",
        GOWORK: "off",
      },
    };
    const packages = [`${MODULE}/daemon`, `${MODULE}/plugins/cilium-cni`];
    await runProgram("go", ["build", "-trimpath", "-ldflags", "-s -w", "-o", `${draft}/`, ...packages], options);
    const module = (await runProgram("go", ["list", "-m", "-f", "{{.Dir}}", MODULE], options)).trim();
    await cp(join(module, "bpf"), join(draft, "bpf"), { recursive: true });
    await cp(join(module, KINDS), join(draft, "kinds"), { recursive: true });
    await rm(cache, { recursive: true });
  });
}
