/** `myzel project remove`: forgets what is known of a repository. */
import type { Command } from "commander";
import { removeProject } from "../../store/remove-project.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

interface Options {
  dryRun?: boolean;
  json?: boolean;
}

export function defineRemove(command: Command): void {
  command
    .alias("rm")
    .summary("forget a project; its tasks and epics stay")
    .argument("<project>", "its name")
    .option("--dry-run", "say whether it can be removed, change nothing")
    .option("--json", "the project as it was, with dry_run")
    .addHelpText(
      "after",
      `
Its settings go; tasks, runs, epics and all that is in the repository stay. It is refused while an epic of it is active, a
run of it live, or a task of its repository pending. Tasks that are filed later are those of a repository without a project.

Examples:
  myzel project remove webapp --dry-run
  myzel project remove webapp`,
    )
    .action(async (name: string, options: Options) => {
      const dryRun = options.dryRun === true;
      const project = await withDatabase(command, (database) => removeProject(database, name, { dryRun }));
      if (options.json === true) return sayJson({ ...project, dry_run: dryRun });
      say(
        dryRun
          ? `Project ${oneLine(name)} can be removed; nothing was changed.`
          : `Project ${oneLine(name)} is removed; its tasks and epics stay. Add it again with: myzel project add ${oneLine(name)} --repo ${oneLine(project.repo_url)}`,
      );
    });
  addSettings(command);
}
