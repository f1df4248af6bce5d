/** The agent's stream as it is stored: bounded, masked once more, compressed. */
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { WORKSPACE } from "../contract.ts";
import type { Masker } from "../masking.ts";
import { readFileEnd } from "../hostile-files.ts";

/** The agent phase keeps to the same bound; a larger stream is not its work. */
const MAX_BYTES = 17 * 2 ** 20;

export interface StoredTranscript {
  content: Buffer;
  rawBytes: number;
  truncated: boolean;
}

/** The end of the stream, whole lines; null where there is none. */
export async function readTranscript(workspace: string, masker: Masker): Promise<StoredTranscript | null> {
  const stream = await readFileEnd(join(workspace, WORKSPACE.stream), MAX_BYTES);
  if (stream === null) return null;
  const truncated = stream.size > stream.content.length;
  const whole = truncated ? stream.content.subarray(stream.content.indexOf("\n") + 1) : stream.content;
  const masked = Buffer.from(masker.text(whole.toString("utf8")));
  return { content: await promisify(gzip)(masked), rawBytes: masked.length, truncated };
}
