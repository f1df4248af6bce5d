/**
 * What git runs in a phase in place of `ssh`: hands the connection to the supervisor, which holds the
 * user's keys and agent, or serves a local repository. Runs as the run's user and holds no secret.
 *
 * Usage: relay-client.ts <socket> <ssh arguments …>. It is copied to where that user can read it, so it
 * imports nothing of ours.
 *
 * To the supervisor: one line of JSON, then standard input as it is. Back: frames of one byte for the
 * channel (1 output, 2 error, 3 exit code), four for the length (big endian), and the content.
 */
import { createConnection, type Socket } from "node:net";
import { basename, dirname } from "node:path";

const [socketPath = "", ...argv] = process.argv.slice(2);
// Git asks in this way whether it talks to an OpenSSH client.
if (argv.includes("-G")) process.exit(0);
relay(socketPath, argv);

function relay(path: string, args: readonly string[]): void {
  // A socket's path may have 107 bytes only; its name alone always fits.
  process.chdir(dirname(path));
  const socket = createConnection({ path: basename(path), allowHalfOpen: true });
  socket.on("error", (error) => fail(`cannot reach the run's supervisor: ${error.message}`));
  socket.on("close", () => fail("the run's supervisor closed the connection"));
  socket.write(`${JSON.stringify({ argv: args, gitProtocol: process.env["GIT_PROTOCOL"] ?? null })}\n`);
  process.stdin.pipe(socket);
  readFrames(socket);
}

function readFrames(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 5) {
      const end = 5 + pending.readUInt32BE(1);
      if (pending.length < end) return;
      handleFrame(socket, pending[0] ?? 0, pending.subarray(5, end));
      pending = pending.subarray(end);
    }
  });
}

function handleFrame(socket: Socket, channel: number, content: Buffer): void {
  if (channel === 3) {
    const code = content.readUInt8(0);
    process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
    return;
  }
  const output = channel === 1 ? process.stdout : process.stderr;
  if (output.write(content)) return;
  socket.pause();
  output.once("drain", () => socket.resume());
}

/** 255 is how ssh itself reports a failed connection. */
function fail(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(255);
}
