/** `myzel inbox`: what waits for a person. */
import type { Command } from "commander";
import { listInbox } from "../../store/inbox.ts";
import type { Question } from "../../store/inbox.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { watch } from "../terminal/watch.ts";
import { inboxText, questionText } from "./inbox-text.ts";

interface Options {
  to?: string;
  watch?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .option("--to <person>", "only what is for this addressee")
    .option("-w, --watch", "draw it anew as it changes; without a terminal each new question")
    .option("--json", "one object a line")
    .addHelpText(
      "after",
      `
Questions of agents and approvals of merges, oldest first. Answer one with: myzel answer ID "…"

Examples:
  myzel inbox
  myzel inbox --to anna --watch`,
    )
    .action(async (options: Options) => {
      const json = options.json === true;
      await withDatabase(command, async (database) => {
        const look = async () =>
          (await listInbox(database)).filter((one) => options.to === undefined || one.addressee === options.to);
        if (options.watch !== true) return sayInbox(await look(), json);
        process.exitCode = await watch<Question[]>(
          {
            look,
            screen: (questions) => inboxText(questions),
            sayChanges: (questions, before) => sayNew(questions, before ?? [], json),
            isOver: () => false,
          },
          { json },
        );
      });
    });
  addSettings(command);
}

function sayInbox(questions: readonly Question[], json: boolean): void {
  if (json) for (const question of questions) sayJson(question);
  else say(inboxText(questions));
}

function sayNew(questions: readonly Question[], before: readonly Question[], json: boolean): void {
  const known = new Set(before.map((question) => question.id));
  for (const question of questions) {
    if (known.has(question.id)) continue;
    if (json) sayJson(question);
    else say(questionText(question));
  }
}
