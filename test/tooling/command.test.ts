import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  globSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

const ROOT = join(import.meta.dirname, "..", "..");

/** A checkout whose main.ts says what it was started with. */
function checkout(t: TestContext): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "myzel command-")));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const name of ["bin", "engine", "path", "home"]) mkdirSync(join(directory, name));
  copyFileSync(join(ROOT, "bin", "myzel"), join(directory, "bin", "myzel"));
  writeFileSync(
    join(directory, "engine", "main.ts"),
    "console.log(JSON.stringify([process.version, ...process.argv.slice(1)]));\n",
  );
  return directory;
}

/** An executable that says it is this version of Node and prints its arguments. */
function fakeNode(path: string, version: string): void {
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo "$0 $*"\n`);
  chmodSync(path, 0o755);
}

function run(program: string, options: { home: string; path: string; args?: string[]; cwd?: string }) {
  const env = { HOME: options.home, PATH: `${options.path}:/usr/bin:/bin` };
  return spawnSync(program, options.args ?? [], { env, encoding: "utf8", cwd: options.cwd ?? "/" });
}

test("the command runs on the bundled Node, through symbolic links, with its arguments as they are", (t) => {
  const directory = checkout(t);
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
  symlinkSync("../bin/myzel", join(directory, "path", "first"));
  symlinkSync(join(directory, "path", "first"), join(directory, "home", "second"));
  const { stdout, stderr, status } = run("./second", {
    home: join(directory, "home"),
    path: join(directory, "path"),
    args: ["two words", "*"],
    cwd: join(directory, "home"),
  });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  const [version, main, ...args] = JSON.parse(stdout) as string[];
  assert.match(version ?? "", /^v24\./);
  assert.equal(main, join(directory, "engine", "main.ts"));
  assert.deepEqual(args, ["two words", "*"]);
});

test("without the bundled Node, one of version 24 or newer on the PATH will do", (t) => {
  const directory = checkout(t);
  fakeNode(join(directory, "path", "node"), "v26.1.0");
  const { stdout, status } = run(join(directory, "bin", "myzel"), {
    home: join(directory, "home"),
    path: join(directory, "path"),
    args: ["tasks"],
  });
  assert.equal(status, 0);
  const flags = "--max-semi-space-size=2";
  assert.equal(
    stdout.trim(),
    `${join(directory, "path", "node")} ${flags} ${join(directory, "engine", "main.ts")} tasks`,
  );
});

test("where there is only an older Node, it says so in one sentence and exits 2", (t) => {
  const directory = checkout(t);
  fakeNode(join(directory, "path", "node"), "v20.19.0");
  const { stdout, stderr, status } = run(join(directory, "bin", "myzel"), {
    home: join(directory, "home"),
    path: join(directory, "path"),
  });
  assert.equal(status, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /^myzel: needs Node\.js 24 or newer: [^\n]+\n$/);
});

test("a HOME that cannot be written to does not keep the command from running", (t) => {
  const directory = checkout(t);
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
  const { stdout, stderr, status } = run(join(directory, "bin", "myzel"), { home: "/proc/nowhere", path: "/usr/bin" });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  assert.match(stdout, /^\["v24/);
});

test("the scripts of package.json name programs that are there", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  for (const command of Object.values(scripts)) {
    for (const path of command.match(/[^\s"]+\.ts|bin\/\S+/g) ?? []) {
      assert.notEqual(globSync(path, { cwd: ROOT }).length, 0, `${path} of "${command}"`);
    }
  }
});
