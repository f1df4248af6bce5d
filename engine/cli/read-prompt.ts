/**
 * The prompt of a new task, the goal of an epic or the answer to a question: from the argument, a file, or standard
 * input. What the database could not store as it is, is refused here with the place where it stands, before
 * anything is asked.
 */
import { createReadStream } from "node:fs";
import { isUtf8 } from "node:buffer";
import { UsageError } from "./failure.ts";

/** As in the schema (task_problem). */
const LIMIT_BYTES = 1024 * 1024;

/** What the text is, for sentences about it. */
export interface TextKind {
  noun: string;
  example: string;
  whatToSay: string;
}

const PROMPT: TextKind = {
  noun: "prompt",
  example: 'myzel enqueue "Fix the bug"',
  whatToSay: "say what is to be done",
};

export interface PromptSource {
  /** `-`: standard input. */
  argument: string | undefined;
  file: string | undefined;
  /** Default: a prompt. */
  kind?: TextKind;
}

/** @throws UsageError with one sentence */
export async function readPrompt(source: PromptSource): Promise<string> {
  const { argument, file, kind = PROMPT } = source;
  if (argument !== undefined && file !== undefined) {
    throw new UsageError(`The ${kind.noun} is given twice: either as an argument or with --file.`);
  }
  if (file !== undefined) return checked(kind, await readFileBounded(kind, file), `the file ${file}`);
  if (argument !== undefined && argument !== "-") return checkedArgument(kind, argument);
  if (argument === undefined && process.stdin.isTTY) {
    throw new UsageError(
      `There is no ${kind.noun}: give it as an argument, with --file, or pipe it in (${kind.example}).`,
    );
  }
  return checked(kind, await readBounded(kind, process.stdin), "standard input");
}

async function readFileBounded(kind: TextKind, path: string): Promise<Buffer> {
  try {
    return await readBounded(kind, createReadStream(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || error instanceof UsageError) throw error;
    const why =
      { ENOENT: "it does not exist", EACCES: "it may not be read", EISDIR: "it is a directory" }[code] ?? code;
    throw new UsageError(`The ${kind.noun} cannot be read from ${path}: ${why}.`);
  }
}

/** Stops reading where the text is too long anyway. */
async function readBounded(kind: TextKind, stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > LIMIT_BYTES) throw tooLong(kind);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function checked(kind: TextKind, bytes: Buffer, where: string): string {
  const nul = bytes.indexOf(0);
  if (nul >= 0) throw new UsageError(`The ${kind.noun} holds a NUL byte at offset ${nul} of ${where}: it is text.`);
  if (!isUtf8(bytes)) {
    throw new UsageError(
      `The ${kind.noun} is no UTF-8: the byte at offset ${firstInvalidByte(bytes)} of ${where} belongs to no character. Convert it first, for instance with iconv.`,
    );
  }
  return notEmpty(kind, new TextDecoder().decode(bytes));
}

function checkedArgument(kind: TextKind, text: string): string {
  if (Buffer.byteLength(text) > LIMIT_BYTES) throw tooLong(kind);
  // Node has put this sign in place of bytes that it could not decode; they are lost.
  if (text.includes("\ufffd")) {
    throw new UsageError(`The ${kind.noun} is no UTF-8, or holds the sign U+FFFD: put it into a file and use --file.`);
  }
  return notEmpty(kind, text);
}

function notEmpty(kind: TextKind, text: string): string {
  if (text.trim() === "") throw new UsageError(`The ${kind.noun} is empty: ${kind.whatToSay}.`);
  return text;
}

function tooLong(kind: TextKind): UsageError {
  return new UsageError(
    `The ${kind.noun} is longer than 1 MiB: put long material into a file of the repository and name it.`,
  );
}

/** Offset of the first byte that belongs to no character; the length where all do. */
export function firstInvalidByte(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length) {
    const length = [1, 2, 3, 4].find((bytesOfOne) => isUtf8(bytes.subarray(at, at + bytesOfOne)));
    if (length === undefined) return at;
    at += length;
  }
  return at;
}
