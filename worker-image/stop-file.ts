/**
 * How a phase learns that its run is to be stopped where nobody can signal it: a file that the launcher fills
 * (`MYZEL_STOP_FILE`; on Kubernetes an annotation of the pod, shown by the kubelet). The agent cannot write it.
 */
import { statSync } from "node:fs";

/** Files of a mounted volume are changed by renames above them, which a file watch does not see. */
const LOOK_EVERY_MS = 1_000;

/** Aborts when there is something in the file, within a second; never where the environment names none. Keeps no process alive. */
export function stopSignal(environment: Readonly<Record<string, string | undefined>>): AbortSignal {
  const controller = new AbortController();
  const path = environment["MYZEL_STOP_FILE"];
  if (!path) return controller.signal;
  const look = (): boolean => {
    if (isFilled(path)) controller.abort();
    return controller.signal.aborted;
  };
  if (look()) return controller.signal;
  const timer = setInterval(() => {
    if (look()) clearInterval(timer);
  }, LOOK_EVERY_MS);
  timer.unref();
  return controller.signal;
}

function isFilled(path: string): boolean {
  try {
    return statSync(path).size > 0;
  } catch {
    return false;
  }
}
