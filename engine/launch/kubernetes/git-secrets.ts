/**
 * Which Secret holds the login for which repository: a YAML file of the operator, checked here. Pure but
 * for reading the file; no value of a Secret is ever seen.
 *
 *     - repositories: https://github.com/acme/*
 *       secret: github-acme          # keys: username (optional), password
 *     - repositories: git@github.com:acme/*
 *       secret: acme-deploy-key      # keys: ssh-privatekey, known_hosts
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { parseYaml } from "./yaml.ts";

/** As a Secret of type `kubernetes.io/basic-auth`, or `kubernetes.io/ssh-auth` with the key `known_hosts`. */
export interface GitSecret {
  kind: "https" | "ssh";
  name: string;
}

export interface GitSecretRule {
  repositories: string;
  secret: string;
}

/** A pattern up to where its path begins. The host's name is written out, but for `*.` before it. */
const HOST =
  /^(?:[a-z][a-z0-9+.-]*:\/\/(?:[^@/:]*@)?(?:\*\.)?[^@/:*]+(?::[\d*]+)?\/|(?:[^@/:]*@)?(?:\*\.)?[^@/:*]+:(?!\/\/)|(?:file:\/\/)?\/)/i;

const rules = z.array(
  z.strictObject({
    repositories: z.string().regex(HOST, "names no host and path, like https://example.com/* or git@*.example.com:*"),
    secret: z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, "is no name of a Secret"),
  }),
);

/** @throws Error with all mistakes of the file, each with its place */
export function readGitSecrets(path: string): GitSecretRule[] {
  return parseGitSecrets(readFileSync(path, "utf8"), path);
}

/** @throws Error with all mistakes, each with its place */
export function parseGitSecrets(text: string, path: string): GitSecretRule[] {
  const parsed = rules.safeParse(parseYaml(text) ?? []);
  if (parsed.success) return parsed.data;
  const mistakes = parsed.error.issues.map((issue) => `${issue.path.join(".") || "the file"}: ${issue.message}`);
  throw new Error(`${path} is no list of git Secrets: ${mistakes.join("; ")}`);
}

/**
 * The rule with the longest pattern that matches; `*` stands for anything, before the path for a part of a name
 * only, for the login is sent to whatever host the address names. Null where none does.
 */
export function gitSecretOf(repoUrl: string | null, known: readonly GitSecretRule[]): GitSecret | null {
  if (repoUrl === null) return null;
  const fitting = known.filter(({ repositories }) => matches(repositories, repoUrl));
  const best = fitting.reduce<GitSecretRule | null>(
    (longest, rule) => (longest === null || rule.repositories.length > longest.repositories.length ? rule : longest),
    null,
  );
  return best === null ? null : { kind: /^https?:\/\//i.test(repoUrl) ? "https" : "ssh", name: best.secret };
}

function matches(pattern: string, text: string): boolean {
  const host = HOST.exec(pattern)?.[0] ?? "";
  const path = pattern.slice(host.length);
  return new RegExp(`^${expressionOf(host, "[A-Za-z0-9._~-]*")}${expressionOf(path, ".*")}$`, "i").test(text);
}

function expressionOf(pattern: string, star: string): string {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return parts.join(star);
}
