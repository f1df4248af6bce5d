/** What `myzel doctor` finds of one prerequisite; made by whoever can look. */

export interface Check {
  name: string;
  /**
   * `warning`: works, but not as it might; `problem`: tasks do not get done; `unknown`: cannot be told from here.
   */
  status: "ok" | "warning" | "problem" | "unknown";
  message: string;
  /** What to do; null where nothing is to be done. */
  mend: string | null;
}

export function ok(name: string, message: string): Check {
  return { name, status: "ok", message, mend: null };
}

export function warning(name: string, message: string, mend: string | null): Check {
  return { name, status: "warning", message, mend };
}

export function problem(name: string, message: string, mend: string | null): Check {
  return { name, status: "problem", message, mend };
}

/** @param mend how it can be found out */
export function unknown(name: string, message: string, mend: string | null): Check {
  return { name, status: "unknown", message, mend };
}
