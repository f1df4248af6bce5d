/**
 * The profile's skills, as a plugin of Claude Code: `--plugin-dir` is taken whatever the setting sources are, and brings
 * in nothing of the repository's (observed with 2.1.329). A skill is `myzel:<name>` there.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Brief } from "../contract.ts";

/** The arguments that bring the skills. Writes them into the workspace anew, for the agent may have touched them. */
export function skillArguments(brief: Brief, workspace: string): string[] {
  const plugin = join(workspace, "skills");
  rmSync(plugin, { recursive: true, force: true });
  const skills = Object.entries(brief.profile.skills);
  if (skills.length === 0) return [];
  mkdirSync(join(plugin, ".claude-plugin"), { recursive: true });
  writeFileSync(join(plugin, ".claude-plugin", "plugin.json"), JSON.stringify({ name: "myzel", version: "1.0.0" }));
  for (const [name, text] of skills) {
    const folder = join(plugin, "skills", name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "SKILL.md"), text);
  }
  return ["--plugin-dir", plugin];
}
