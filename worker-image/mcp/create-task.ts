/** The tool `create_task`. */
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";
import { answerOf } from "./answer.ts";
import { addToOutbox } from "./outbox.ts";
import { plainPath } from "./outbox-rules.ts";

const DESCRIPTION =
  "Creates a task for another agent. It is filed when this run has ended successfully, and runs on its own: " +
  "the agent that gets it knows nothing but its prompt and the repository. Tasks of one addressee run one after " +
  "the other, oldest first; tasks of different addressees run in parallel. There is no other order: what must wait " +
  "for a result is created later, when you are woken with that result. A task that ends wakes you.";

const input = z.strictObject({
  prompt: z
    .string()
    .describe(
      "The whole task, complete in itself, for an agent that has not seen this conversation: goal, what is known " +
        "(branches, files, decisions, results it must build on), constraints, and how one sees that it is done.",
    ),
  addressee: z
    .string()
    .optional()
    .describe(
      "Who gets it. Left out: a new worker of its own, in parallel to all others. Name one where tasks must run one " +
        "after the other.",
    ),
  repo_url: z
    .string()
    .optional()
    .describe("The git remote to work on: this task's own (left out), or that of a project the engine knows."),
  branch: z
    .string()
    .optional()
    .describe(
      "The branch to work on; work goes on where it stands, and it is made if it is not there. Left out: a new one " +
        'of its own. With kind "merge": the branch whose work is to be merged.',
    ),
  base_branch: z
    .string()
    .optional()
    .describe("Where a branch that is not there yet starts. Left out: the repository's default branch."),
  kind: z
    .string()
    .optional()
    .describe(
      "A word for what it is: implement, review, test, merge … Only a task of kind merge can bring work into the " +
        "default branch: `branch` is then what is merged; how (pull request, approval by a person, at once) is the " +
        "project's setting.",
    ),
  step: z
    .string()
    .optional()
    .describe(
      "The step of your plan that it works on, a short name that stays the same when you try the step again: " +
        "failures in a row are counted by it, and too many end the epic.",
    ),
  paths: z
    .array(z.string())
    .optional()
    .describe(
      "Files and directories that it will change, from the repository's root. A task waits while another one runs " +
        "that changes the same; so say it for tasks that run in parallel.",
    ),
  wake: z
    .enum(["each", "last"])
    .optional()
    .describe(
      "When you are woken: `each` (the default): as soon as this task ends. `last`: once for all tasks of this run " +
        "that say `last`, when the last of them has ended or as soon as one has failed.",
    ),
  pull_request: z.boolean().optional().describe("Open a pull request for its branch, where the host knows them."),
});

/** Offers the tool; tasks go to the outbox in `directory`. */
export function offerCreateTask(server: McpServer, directory: string): void {
  server.registerTool("create_task", { description: DESCRIPTION, inputSchema: input }, (task) =>
    answerOf(() => {
      const number = addToOutbox(directory, {
        prompt: task.prompt,
        addressee: task.addressee ?? null,
        repo_url: task.repo_url ?? null,
        branch: task.branch ?? null,
        base_branch: task.base_branch ?? null,
        kind: task.kind ?? null,
        step: task.step ?? null,
        paths: task.paths?.map(plainPath) ?? null,
        wake: task.wake ?? "each",
        pull_request: task.pull_request ?? false,
      });
      const whom = task.addressee ?? "a new worker";
      return `Task ${number} of this run is noted for ${whom}; it is created when this run ends successfully.`;
    }),
  );
}
