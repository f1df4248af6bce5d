/** The keys of one test cluster: an authority of its own, whatever it signs, and the pair that signs service account tokens. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Longer than any test run. */
const DAYS = "30";
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority extends Certificate {
  /** Private and public part of the service account key. */
  readonly serviceAccountKey: Certificate;
  /** A certificate for client and server; `subject` as `/O=group/CN=user`, `names` as `IP:127.0.0.1,DNS:localhost`. */
  sign(options: { name: string; subject: string; names?: string }): Promise<Certificate>;
}

/** Makes an authority whose files lie in `directory`, keys readable for their owner only. */
export async function makeAuthority(directory: string): Promise<Authority> {
  const files = (name: string): Certificate => ({
    certFile: join(directory, `${name}.crt`),
    keyFile: join(directory, `${name}.key`),
  });
  const request = async ({ certFile, keyFile }: Certificate, subject: string, more: readonly string[]) => {
    const out = ["-keyout", keyFile, "-out", certFile, "-days", DAYS, "-subj", subject];
    await run("openssl", ["req", "-x509", ...KEY, ...out, ...more]);
  };
  const authority = files("ca");
  await request(authority, "/CN=myzel-test-cluster", ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]);

  const sign: Authority["sign"] = async ({ name, subject, names }) => {
    const signed = files(name);
    await request(signed, subject, [
      ...["-CA", authority.certFile, "-CAkey", authority.keyFile],
      ...["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth"],
      ...(names === undefined ? [] : ["-addext", `subjectAltName=${names}`]),
    ]);
    return signed;
  };
  return { ...authority, sign, serviceAccountKey: await keyPair(files("service-accounts")) };
}

async function keyPair(files: Certificate): Promise<Certificate> {
  await run("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", files.keyFile]);
  await run("openssl", ["pkey", "-in", files.keyFile, "-pubout", "-out", files.certFile]);
  return files;
}

/** Writes a kubeconfig that needs no other file. `serverName`: whose certificate it is, where that is not in the URL. */
export async function writeKubeconfig(
  path: string,
  options: { server: string; serverName?: string; authority: Certificate; client: Certificate },
): Promise<void> {
  const base64 = async (file: string): Promise<string> => (await readFile(file)).toString("base64");
  const { server, serverName, authority, client } = options;
  const name = "myzel-test";
  const cluster = {
    server,
    "certificate-authority-data": await base64(authority.certFile),
    ...(serverName === undefined ? {} : { "tls-server-name": serverName }),
  };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster }],
    users: [
      {
        name,
        user: {
          "client-certificate-data": await base64(client.certFile),
          "client-key-data": await base64(client.keyFile),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  };
  await writeFile(path, JSON.stringify(config, null, 2), { mode: 0o600 });
}
