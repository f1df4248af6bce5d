/** What a tool says to the model: a sentence, or the sentence that says why it refused. */
import { OutboxError } from "./outbox.ts";

/** Runs the tool. A refusal is an answer; any other error is the server's. */
export function answerOf(tool: () => string) {
  try {
    return { content: [{ type: "text" as const, text: tool() }] };
  } catch (error) {
    if (!(error instanceof OutboxError)) throw error;
    return { content: [{ type: "text" as const, text: error.message }], isError: true };
  }
}
