/** The tool `finish_epic`. */
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";
import { answerOf } from "./answer.ts";
import { finishInOutbox } from "./outbox.ts";

const DESCRIPTION =
  "Says that the epic is over: its goal is met, or cannot be met. It counts when this run has ended successfully; " +
  "after that no task of the epic is started any more and nobody is woken for it. Call it once, as the last thing " +
  "you do; another call replaces the first. While work is still under way that you want, do not call it. If only a " +
  "part of the epic was handed to you, it says that your part is over, and whoever handed it to you is told.";

const input = z.strictObject({
  success: z.boolean().describe("Whether the goal is met, and what was made lies where the epic wants it."),
  summary: z
    .string()
    .describe(
      "The final report, for the person who filed the epic: what was done and where it lies, how one sees that it " +
        "works, what is left open; of a failure, what stood in the way and what would be needed.",
    ),
});

/** Offers the tool; the word goes to the outbox in `directory`. */
export function offerFinishEpic(server: McpServer, directory: string): void {
  server.registerTool("finish_epic", { description: DESCRIPTION, inputSchema: input }, (finish) =>
    answerOf(() => {
      const created = finishInOutbox(directory, finish);
      const end = finish.success ? "a success" : "a failure";
      const noted = `Noted: it ends as ${end} when this run ends successfully.`;
      if (created === 0) return noted;
      return `${noted} The ${count(created)} that this run has created will not be started where the whole epic ends.`;
    }),
  );
}

function count(tasks: number): string {
  return tasks === 1 ? "task" : `${tasks} tasks`;
}
