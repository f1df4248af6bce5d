/**
 * The system prompt: the role's text, the text of the task's kind where there is one, then the profile's own.
 *
 * The texts are files of the image, so their version is the image's; their hash is what a log can say of them.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Brief } from "../contract.ts";

const FOLDER = join(import.meta.dirname, "..", "prompts");

const ROLES = { red: "red.md", green: "green.md" } as const;

/** Quality gates differ by these alone. A kind is any word, so it is looked up and never made into a path. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ["review", "review.md"],
  ["test", "test.md"],
  ["merge", "merge.md"],
]);

export interface SystemPrompt {
  text: string;
  /** Names and short hashes of the files that it is made of: `red.md 1a2b3c4d, review.md 5e6f7a8b`. */
  version: string;
}

/** The prompt for this task. */
export function systemPromptOf(brief: Brief): SystemPrompt {
  const { profile } = brief;
  const kind = profile.role === "red" && brief.kind !== null ? KINDS.get(brief.kind) : undefined;
  const files = [ROLES[profile.role], ...(kind === undefined ? [] : [kind])].map((name) => ({
    name,
    content: readFileSync(join(FOLDER, name), "utf8"),
  }));
  const texts = files.map(({ content }) => content.replace(/^<!--[\s\S]*?-->\s*/, ""));
  const own = profile.system_prompt === null ? [] : [`${profile.system_prompt}\n`];
  return {
    text: [...texts, ...own].join("\n"),
    version: files.map(({ name, content }) => `${name} ${shortHash(content)}`).join(", "),
  };
}

function shortHash(content: string): string {
  return createHash("sha256").update(content).digest("hex").slice(0, 8);
}
