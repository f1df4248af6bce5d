/** Passwords as Postgres stores them, so that none ever reaches a statement, and with it a server's log. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/** Postgres's own default. */
const ITERATIONS = 4096;

/** The SCRAM-SHA-256 verifier (RFC 5803) of an ASCII password. */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, "sha256");
  const stored = createHash("sha256").update(hmac(salted, "Client Key")).digest("base64");
  const server = hmac(salted, "Server Key").toString("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${stored}:${server}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
