/** The tool `ask_human`: nothing but a task for a person, whose answer is its result. */
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";
import { answerOf } from "./answer.ts";
import { addToOutbox } from "./outbox.ts";

const input = z.strictObject({
  question: z.string().describe("One question that can be answered in a sentence or two; offer choices if you can."),
  context: z
    .string()
    .optional()
    .describe("What a person must know to answer without reading the repository, and what you will do by default."),
});

/** Offers the tool; the question goes to the outbox in `directory`, for the addressee `approver`. */
export function offerAskHuman(server: McpServer, directory: string, approver: string): void {
  const description =
    `Asks ${approver}, a person, who may take hours to answer. The question is filed when this run has ended ` +
    "successfully, and the answer wakes you like the result of any task. Ask only what you cannot find out or " +
    "decide yourself, and one question at a time.";
  server.registerTool("ask_human", { description, inputSchema: input }, ({ question, context }) =>
    answerOf(() => {
      addToOutbox(directory, {
        prompt: context === undefined || question.trim() === "" ? question : `${question}\n\n${context}`,
        addressee: approver,
        repo_url: null,
        branch: null,
        base_branch: null,
        kind: "question",
        step: null,
        paths: null,
        wake: "each",
        pull_request: false,
      });
      return `The question is noted for ${approver}; it is asked when this run ends successfully. End your turn now, unless there is other work that does not hang on the answer.`;
    }),
  );
}
