/**
 * Keeps the values of secrets out of everything that is stored or printed.
 *
 * A secret is found as it is, escaped as in JSON, URL-encoded and in base64 (both alphabets, at any
 * offset of a longer text, and wrapped as `base64` and `openssl` do). Other disguises (hex, reversed,
 * split) are not found: this is against accidents, not against an agent that means harm.
 */
import { StringDecoder } from "node:string_decoder";
import { Transform } from "node:stream";

const MASK = "[masked]";
const REGEXP_SPECIAL = /[.*+?^${}()|[\]\\/-]/g;

/** Shorter values are not masked: they would hit ordinary text. */
const MIN_SECRET_LENGTH = 8;

/** Line lengths of `base64` and of `openssl base64`. */
const WRAP_COLUMNS = [76, 64];

/** A piece of wrapped base64 shorter than this says nothing and may hit ordinary text. */
const MIN_PIECE_LENGTH = 12;

export interface Masker {
  /** The text with every form of every secret replaced. */
  text(text: string): string;
  /** The same over a byte stream (UTF-8), also where a secret lies across chunks. Holds back no more than what may become a secret. */
  stream(): Transform;
}

/** Every text under which one of the secrets is recognised, longest first, without repeats. */
export function secretForms(values: readonly string[]): string[] {
  const forms = new Set<string>();
  for (const value of values) {
    const secret = value.trim();
    if (secret.length < MIN_SECRET_LENGTH) continue;
    forms.add(secret);
    forms.add(JSON.stringify(secret).slice(1, -1));
    forms.add(encodeURIComponent(secret.toWellFormed()));
    for (const form of base64Forms(secret)) forms.add(form);
  }
  return [...forms].toSorted((a, b) => b.length - a.length);
}

/** A masker for these secrets. With none, text passes unchanged. */
export function createMasker(values: readonly string[]): Masker {
  const forms = secretForms(values);
  const pattern =
    forms.length === 0 ? null : new RegExp(forms.map((form) => form.replace(REGEXP_SPECIAL, "\\$&")).join("|"), "g");
  return {
    text: (text) => (pattern === null ? text : text.replace(pattern, MASK)),
    stream: () => maskingStream(forms, pattern),
  };
}

/**
 * The base64 characters that depend on nothing but the secret, for each of the three offsets at which
 * it may begin within a longer text.
 */
function base64Forms(secret: string): string[] {
  const bytes = Buffer.from(secret, "utf8");
  const forms = [0, 1, 2].map((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
    return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
  });
  const pieces = WRAP_COLUMNS.flatMap((columns) => wrapped(forms[0] ?? "", columns));
  return [...forms, ...pieces].flatMap((form) => [form, form.replaceAll("+", "-").replaceAll("/", "_")]);
}

function wrapped(text: string, columns: number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += columns) pieces.push(text.slice(at, at + columns));
  return pieces.filter((piece) => piece.length >= MIN_PIECE_LENGTH);
}

function maskingStream(forms: readonly string[], pattern: RegExp | null): Transform {
  const decoder = new StringDecoder("utf8");
  let held = "";
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const [out, rest] = maskComplete(held + decoder.write(chunk), forms, pattern);
      held = rest;
      done(null, out);
    },
    flush(done) {
      const last = held + decoder.end();
      done(null, pattern === null ? last : last.replace(pattern, MASK));
    },
  });
}

/** Masks as far as the text is certain; the rest is the beginning of what may become a secret. */
function maskComplete(text: string, forms: readonly string[], pattern: RegExp | null): [out: string, rest: string] {
  if (pattern === null) return [text, ""];
  let out = "";
  let at = 0;
  let hold = unfinished(text, at, forms);
  for (const match of text.matchAll(pattern)) {
    if (match.index >= hold) break;
    out += text.slice(at, match.index) + MASK;
    at = match.index + match[0].length;
    if (at > hold) hold = unfinished(text, at, forms);
  }
  return [out + text.slice(at, hold), text.slice(hold)];
}

/** Where the first proper beginning of a form starts that reaches the text's end; the text's length where none does. */
function unfinished(text: string, from: number, forms: readonly string[]): number {
  const longest = forms[0]?.length ?? 0;
  for (let at = Math.max(from, text.length - longest + 1); at < text.length; at++) {
    const tail = text.slice(at);
    if (forms.some((form) => form.length > tail.length && form.startsWith(tail))) return at;
  }
  return text.length;
}
