/**
 * The bounded end of a text that grows.
 */

export interface Tail {
  add(text: string): void;
  /** The end of what was added, at most the bound in UTF-8 bytes. */
  text(): string;
}

/** Keeps the last `maxBytes` bytes (UTF-8) of what is added. */
export function createTail(maxBytes: number): Tail {
  let kept = "";
  return {
    add(text) {
      kept += text.slice(-2 * maxBytes);
      if (kept.length > 4 * maxBytes) kept = kept.slice(-2 * maxBytes);
    },
    text: () => lastBytes(kept, maxBytes),
  };
}

/** The end of a text, at most so many bytes, beginning with a whole character. */
export function lastBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let at = bytes.length - maxBytes;
  while (at < bytes.length && ((bytes[at] ?? 0) & 0xc0) === 0x80) at++;
  return bytes.toString("utf8", at);
}

/** The beginning of a text, at most so many bytes, ending with a whole character. */
export function firstBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let at = maxBytes;
  while (at > 0 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at--;
  return bytes.toString("utf8", 0, at);
}
