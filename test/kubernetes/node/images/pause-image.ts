/** The program that holds a pod's namespaces: it waits, and reaps what is left to it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PAUSE_IMAGE } from "../place.ts";
import { runProgram } from "../program.ts";
import { buildah } from "./buildah.ts";

const SOURCE = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for one := range signals {
		if one != syscall.SIGCHLD {
			return
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}
`;

/** Builds it where the storage does not hold it. */
export async function ensurePauseImage(): Promise<void> {
  const there = await buildah("inspect", "--type", "image", PAUSE_IMAGE).catch(() => null);
  if (there !== null) return;
  const scratch = await mkdtemp(join(tmpdir(), "myzel-pause-"));
  try {
    await writeFile(join(scratch, "pause.go"), SOURCE);
    const environment = { CGO_ENABLED: "0", GOCACHE: join(scratch, "cache"), GOWORK: "off", GO111MODULE: "off" };
    await runProgram("go", ["build", "-ldflags", "-s -w", "-o", "pause", "pause.go"], { cwd: scratch, environment });
    const container = (await buildah("from", "scratch")).trim();
    await buildah("copy", "--quiet", container, join(scratch, "pause"), "/pause");
    await buildah("config", "--entrypoint", '["/pause"]', "--user", "65535:65535", container);
    await buildah("commit", "--rm", "--quiet", container, PAUSE_IMAGE);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
