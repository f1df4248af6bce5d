/** The way to a host's API: proxies and certificates as git knows them, limits, patience. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { promisify } from "node:util";
import { HostError } from "../../worker-image/hosts/host.ts";
import { type ApiAccess, httpApi } from "../../worker-image/hosts/http-api.ts";

const TOKEN = "token-0123456789";
let closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing) close();
  closing = [];
});

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function apiAt(base: string, change: Partial<ApiAccess> = {}) {
  const { signal } = new AbortController();
  return httpApi({
    name: "GitHub",
    base,
    token: TOKEN,
    headers: {},
    environment: {},
    signal,
    patienceMs: 0,
    ...change,
  });
}

test("a proxy of the phase is used, and not for what NO_PROXY names", async () => {
  const asked: (string | undefined)[] = [];
  const proxy = await listening(
    createServer((request, response) => {
      asked.push(request.url);
      response.end('{"by":"proxy"}');
    }),
  );
  const direct = await listening(createServer((_, response) => response.end('{"by":"host"}')));
  const environment = { HTTP_PROXY: `http://127.0.0.1:${proxy}`, NO_PROXY: "127.0.0.1" };
  assert.deepEqual(await apiAt("http://host.invalid/api", { environment }).call("GET", "/x"), { by: "proxy" });
  assert.deepEqual(asked, ["http://host.invalid/api/x"]);
  assert.deepEqual(await apiAt(`http://127.0.0.1:${direct}`, { environment }).call("GET", "/x"), { by: "host" });
});

/** A host with a certificate that nobody knows, and that certificate's file. */
async function selfSigned(): Promise<{ base: string; cert: string }> {
  const directory = mkdtempSync(join(tmpdir(), "myzel-tls-"));
  closing.push(() => rmSync(directory, { recursive: true }));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  const make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", [...make, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const options = { key: readFileSync(key), cert: readFileSync(cert) };
  const port = await listening(createTlsServer(options, (_, response) => response.end('{"is":"secret"}')));
  return { base: `https://127.0.0.1:${port}`, cert };
}

test("a certificate is trusted by GIT_SSL_CAINFO, and else refused", async () => {
  const { base, cert } = await selfSigned();
  assert.deepEqual(await apiAt(base, { environment: { GIT_SSL_CAINFO: cert } }).call("GET", "/"), { is: "secret" });
  await assert.rejects(
    apiAt(base).call("GET", "/"),
    (error) => error instanceof HostError && /cannot be reached \(DEPTH_ZERO_SELF_SIGNED_CERT\)/.test(error.message),
  );
});

test("a certificate of the system's authorities is trusted, as git trusts it", async () => {
  const { base, cert } = await selfSigned();
  const module = join(import.meta.dirname, "../../worker-image/hosts/http-api.ts");
  const script = `
    import { httpApi } from ${JSON.stringify(module)};
    const { signal } = new AbortController();
    const access = { name: "GitHub", base: ${JSON.stringify(base)}, token: "x", headers: {}, environment: {}, signal, patienceMs: 0 };
    console.log(JSON.stringify(await httpApi(access).call("GET", "/")));`;
  // What a system trusts is read once in the life of a process.
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    env: { PATH: process.env["PATH"], SSL_CERT_FILE: cert },
  });
  assert.equal(stdout, '{"is":"secret"}\n');
});

test("a host that cannot be reached or talks nonsense is said, and never the token", async () => {
  await assert.rejects(apiAt("http://127.0.0.1:1").call("POST", "/x", {}), /GitHub's API at 127\.0\.0\.1:1 cannot be/);
  const port = await listening(
    createServer((request, response) => {
      response.writeHead(request.url === "/html" ? 200 : 418, { "content-type": "text/html" });
      response.end(`<html>${request.headers.authorization}</html>`);
    }),
  );
  const api = apiAt(`http://127.0.0.1:${port}`);
  assert.equal(await api.call("GET", "/html"), null);
  await assert.rejects(api.call("GET", "/teapot"), (error) => {
    assert.ok(error instanceof HostError);
    assert.equal(error.message, "GitHub answered 418.");
    return !error.message.includes(TOKEN);
  });
});

test("a host that is busy for longer than the patience is not waited for", async () => {
  let asked = 0;
  const port = await listening(
    createServer((_, response) => {
      asked++;
      response.writeHead(429, { "retry-after": "3600" }).end('{"message":"Too many requests"}');
    }),
  );
  const begin = performance.now();
  const api = apiAt(`http://127.0.0.1:${port}`, { patienceMs: 60_000 });
  await assert.rejects(api.call("GET", "/"), /^HostError: GitHub answered 429: Too many requests\.$/);
  assert.equal(asked, 1);
  assert.ok(performance.now() - begin < 30_000);
});

test("a run that is stopped ends the call", async () => {
  const port = await listening(createServer(() => {}));
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  const api = apiAt(`http://127.0.0.1:${port}`, { signal: stop.signal, patienceMs: 60_000 });
  await assert.rejects(api.call("GET", "/"), { name: "AbortError" });
});
