/**
 * The prompt of a new task: from the argument, a file, or standard input. What the database could not
 * store as it is, is refused here with the place where it stands, before anything is asked.
 */
import { createReadStream } from "node:fs";
import { isUtf8 } from "node:buffer";
import { UsageError } from "./failure.ts";

/** As in the schema (task_problem). */
const LIMIT_BYTES = 1024 * 1024;

export interface PromptSource {
  /** `-`: standard input. */
  argument: string | undefined;
  file: string | undefined;
}

/** @throws UsageError with one sentence */
export async function readPrompt(source: PromptSource): Promise<string> {
  if (source.argument !== undefined && source.file !== undefined) {
    throw new UsageError("The prompt is given twice: either as an argument or with --file.");
  }
  if (source.file !== undefined) return checked(await readFileBounded(source.file), `the file ${source.file}`);
  if (source.argument !== undefined && source.argument !== "-") return checkedArgument(source.argument);
  if (source.argument === undefined && process.stdin.isTTY) {
    throw new UsageError(
      'There is no prompt: give it as an argument, with --file, or pipe it in (myzel enqueue "Fix the bug").',
    );
  }
  return checked(await readBounded(process.stdin), "standard input");
}

async function readFileBounded(path: string): Promise<Buffer> {
  try {
    return await readBounded(createReadStream(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || error instanceof UsageError) throw error;
    const why =
      { ENOENT: "it does not exist", EACCES: "it may not be read", EISDIR: "it is a directory" }[code] ?? code;
    throw new UsageError(`The prompt cannot be read from ${path}: ${why}.`);
  }
}

/** Stops reading where the prompt is too long anyway. */
async function readBounded(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > LIMIT_BYTES) throw tooLong();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function checked(bytes: Buffer, where: string): string {
  const nul = bytes.indexOf(0);
  if (nul >= 0) throw new UsageError(`The prompt holds a NUL byte at offset ${nul} of ${where}: a prompt is text.`);
  if (!isUtf8(bytes)) {
    throw new UsageError(
      `The prompt is no UTF-8: the byte at offset ${firstInvalidByte(bytes)} of ${where} belongs to no character. Convert it first, for instance with iconv.`,
    );
  }
  return notEmpty(new TextDecoder().decode(bytes));
}

function checkedArgument(text: string): string {
  if (Buffer.byteLength(text) > LIMIT_BYTES) throw tooLong();
  // Node has put this sign in place of bytes that it could not decode; they are lost.
  if (text.includes("\ufffd")) {
    throw new UsageError("The prompt is no UTF-8, or holds the sign U+FFFD: put it into a file and use --file.");
  }
  return notEmpty(text);
}

function notEmpty(text: string): string {
  if (text.trim() === "") throw new UsageError("The prompt is empty: say what is to be done.");
  return text;
}

function tooLong(): UsageError {
  return new UsageError(
    "The prompt is longer than 1 MiB: put long material into a file of the repository and name it.",
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
