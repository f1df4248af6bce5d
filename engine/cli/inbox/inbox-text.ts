/** Questions and approvals in words for people. */
import type { Question } from "../../store/inbox.ts";
import { beginning, duration, oneLine, shortId } from "../terminal/terminal-text.ts";

/** So many lines of a prompt; the whole is in `myzel show`. */
const LINES = 20;

/** All that waits, oldest first. */
export function inboxText(questions: readonly Question[], now = new Date()): string {
  if (questions.length === 0) return "Nothing waits for an answer.";
  return questions.map((question) => questionText(question, now)).join("\n\n");
}

/** One of them, and how to answer it. */
export function questionText(question: Question, now = new Date()): string {
  const id = shortId(question.id);
  return [
    `${id}  ${facts(question, now)}`,
    beginning(question.prompt, LINES, `: myzel show ${id}`),
    question.kind === "approval"
      ? `  → myzel answer ${id} --yes, or: myzel answer ${id} --no "Why not"`
      : `  → myzel answer ${id} "…"`,
  ].join("\n");
}

function facts(question: Question, now: Date): string {
  const epic = question.epic === null ? null : `epic ${shortId(question.epic)}`;
  return [
    `${oneLine(question.kind ?? "task", 40)} for ${oneLine(question.addressee)}`,
    question.created_by === null ? null : `from ${oneLine(question.created_by)}`,
    question.epic_title === null ? epic : `${epic} "${oneLine(question.epic_title, 60)}"`,
    `${duration(now.getTime() - question.created_at.getTime())} ago`,
  ]
    .filter((part) => part !== null)
    .join(", ");
}
