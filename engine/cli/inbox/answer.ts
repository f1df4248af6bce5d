/** `myzel answer`: answers a question, gives or refuses an approval. */
import { Option } from "commander";
import type { Command } from "commander";
import { findTask } from "../../store/find-task.ts";
import { answerTask, newestQuestion } from "../../store/inbox.ts";
import { withDatabase } from "../connect.ts";
import { readPrompt } from "../read-prompt.ts";
import type { TextKind } from "../read-prompt.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";

interface Options {
  yes?: boolean;
  no?: boolean;
  file?: string;
  json?: boolean;
}

const ANSWER: TextKind = {
  noun: "answer",
  example: 'myzel answer 3f2a "Use the second one"',
  whatToSay: "say something, or --yes or --no",
};

export function define(command: Command): void {
  command
    .argument("<question>", "id, its beginning or end, or @last: what came last into the inbox")
    .argument("[answer]", "your words; - or nothing: from standard input")
    .option("--yes", "yes; needs no words")
    .addOption(new Option("--no", "no: an approval is refused, a task is not done; needs no words").conflicts("yes"))
    .option("--file <path>", "read the answer from a file")
    .option("--json", "the task as an object")
    .addHelpText(
      "after",
      `
Whoever asked is woken with the answer. An approval is given unless you say --no.

Examples:
  myzel answer @last "Use the second one, and keep the old name as an alias."
  myzel answer 3f2a --yes
  myzel answer 3f2a --no "Not before the release."`,
    )
    .action(async (given: string, words: string | undefined, options: Options) => {
      const answer = await answerOf(words, options);
      await withDatabase(command, async (database) => {
        const id = given === "@last" ? await newestQuestion(database) : await findTask(database, given);
        const success = options.no !== true;
        const task = await answerTask(database, id, { answer, success });
        if (options.json === true) sayJson(task);
        else
          say(
            `Task ${task.id} is answered${success ? "" : " with no"}${task.parent_id === null ? "" : "; who asked is told"}.`,
          );
      });
    });
  addSettings(command);
}

async function answerOf(words: string | undefined, options: Options): Promise<string> {
  const needsNone = options.yes === true || options.no === true;
  if (needsNone && words === undefined && options.file === undefined) return options.no === true ? "No." : "Yes.";
  return await readPrompt({ argument: words, file: options.file, kind: ANSWER });
}
