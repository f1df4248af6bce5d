/**
 * Reads files that an agent may have laid out as traps: no link is followed, nothing but a regular
 * file is opened, and never more is read than asked for.
 *
 * Of a path only the last part is guarded: callers check the directories above it with `isRealDirectory`.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";

/** Whether a directory is there and no link to one. */
export async function isRealDirectory(path: string): Promise<boolean> {
  return lstat(path).then(
    (stat) => stat.isDirectory(),
    () => false,
  );
}

/** The file's content; null where there is no regular file, or a larger one. */
export async function readSmallFile(path: string, maxBytes: number): Promise<Buffer | null> {
  const file = await openRegularFile(path);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    return size > maxBytes ? null : await readAt(file, 0, maxBytes);
  } catch {
    return null;
  } finally {
    await file.close();
  }
}

/** The file's last `maxBytes` bytes and its size; null where there is no regular file. */
export async function readFileEnd(path: string, maxBytes: number): Promise<{ content: Buffer; size: number } | null> {
  const file = await openRegularFile(path);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    return { content: await readAt(file, Math.max(0, size - maxBytes), maxBytes), size };
  } catch {
    return null;
  } finally {
    await file.close();
  }
}

async function openRegularFile(path: string): Promise<FileHandle | null> {
  // O_NONBLOCK: a pipe that nobody writes to would keep us waiting for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(() => null);
  if (file === null || (await file.stat()).isFile()) return file;
  await file.close();
  return null;
}

async function readAt(file: FileHandle, from: number, maxBytes: number): Promise<Buffer> {
  const { size } = await file.stat();
  const content = Buffer.alloc(Math.min(maxBytes, Math.max(0, size - from)));
  let length = 0;
  while (length < content.length) {
    const { bytesRead } = await file.read(content, length, content.length - length, from + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return content.subarray(0, length);
}
