/**
 * The MCP server of a run: offers one tool, `create_task`, that leaves a task in the outbox.
 *
 * Holds no credential and reaches no network: what it writes is a wish, which the publish phase hands
 * in and the engine grants or refuses. Started by Claude Code over stdio; `MYZEL_OUTBOX` names the directory.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";
import { OutboxError, addToOutbox } from "./outbox.ts";

const DESCRIPTION =
  "Creates a task for another agent. It is filed when this run has ended successfully, and runs on its own: " +
  "the agent that gets it knows nothing but its prompt and the repository. Tasks of one addressee run one after " +
  "the other, oldest first; tasks of different addressees run in parallel.";

const input = {
  prompt: z.string().describe("What is to be done, complete in itself: goal, constraints, how to see that it is done."),
  addressee: z
    .string()
    .optional()
    .describe("Who gets it. Left out: a new worker of its own, in parallel to all others."),
  repo_url: z.string().optional().describe("The git remote to work on. Left out: this task's own."),
  branch: z.string().optional().describe("The branch to work on; made if it is not there. Left out: one of its own."),
  kind: z.string().optional().describe("A word for what it is: implement, review, test, merge …"),
};

const outbox = process.env["MYZEL_OUTBOX"];
if (!outbox) {
  console.error("MYZEL_OUTBOX is not set.");
  process.exit(2);
}

const server = new McpServer({ name: "myzel", version: "1.0.0" });
server.registerTool("create_task", { description: DESCRIPTION, inputSchema: input }, (task) => {
  try {
    const number = addToOutbox(outbox, {
      prompt: task.prompt,
      addressee: task.addressee ?? null,
      repo_url: task.repo_url ?? null,
      branch: task.branch ?? null,
      kind: task.kind ?? null,
    });
    const whom = task.addressee === undefined ? "a new worker" : task.addressee;
    return answer(`Task ${number} of this run is noted for ${whom}; it is created when this run ends successfully.`);
  } catch (error) {
    if (error instanceof OutboxError) return { ...answer(error.message), isError: true };
    throw error;
  }
});
await server.connect(new StdioServerTransport());

function answer(text: string) {
  return { content: [{ type: "text" as const, text }] };
}
