/** Declared paths: which of them touch. Pure. */
import { repositoryKey } from "./model.ts";

/** What works, or would work, in a repository, and on what of it. */
interface Work {
  repoUrl: string | null;
  paths: string[] | null;
}

/** Whether the two declare to change the same: a path that is, holds or lies in one of the other's, in one repository. */
export function touch(one: Work, other: Work): boolean {
  if (one.repoUrl === null || other.repoUrl === null) return false;
  if (repositoryKey(one.repoUrl) !== repositoryKey(other.repoUrl)) return false;
  const others = (other.paths ?? []).map(directories);
  return (one.paths ?? []).some((path) => others.some((there) => holds(directories(path), there)));
}

/** The names on the way to it; a pattern stands for the directory above it, so "*" for the whole repository. */
function directories(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  const pattern = names.findIndex((name) => name.includes("*"));
  return pattern === -1 ? names : names.slice(0, pattern);
}

/** One of them is the beginning of the other. */
function holds(one: readonly string[], other: readonly string[]): boolean {
  return one.slice(0, other.length).every((name, place) => name === other[place]);
}
