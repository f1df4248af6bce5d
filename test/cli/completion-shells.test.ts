/** Completion in real shells on a terminal of their own: what Tab makes of what was typed. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { findProgram } from "../../engine/cli/find-program.ts";
import { plain } from "../../engine/cli/terminal/terminal-text.ts";
import { eventually } from "../support/waiting.ts";
import { commandLine } from "./command-line.ts";
import { myzel, ROOT, startProgram } from "./run-myzel.ts";

/** How each is started without anybody's own settings, and told of the script. */
const SHELLS = {
  bash: { start: "bash --norc -i", setUp: "source ./completion.bash" },
  zsh: { start: "zsh -f -i", setUp: "autoload -Uz compinit; compinit -u -d ./dump; source ./completion.zsh" },
  fish: { start: "fish --no-config --interactive", setUp: "source ./completion.fish" },
} as const;

type Shell = keyof typeof SHELLS;

const missing = (...programs: string[]): string | false => {
  const absent = programs.filter((program) => findProgram(program) === null);
  return absent.length > 0 && `${absent.join(" and ")}: not installed`;
};

describe("completion in a real shell", () => {
  const cli = commandLine();
  const environment = () => ({
    ...cli.env,
    PATH: `${join(ROOT, "bin")}:${process.env["PATH"]}`,
    HOME: cli.directory,
    XDG_DATA_HOME: cli.directory,
    TERM: "xterm",
    LANG: "C.UTF-8",
  });
  const script = async (shell: Shell): Promise<void> =>
    writeFileSync(join(cli.directory, `completion.${shell}`), (await myzel(["completion", shell])).stdout);

  /** What stands on the terminal once `expected` does, after these keys. */
  async function screen(shell: Shell, setUp: string, keys: string, expected: RegExp): Promise<string> {
    const terminal = startProgram("script", ["-qec", SHELLS[shell].start, "/dev/null"], {
      env: environment(),
      cwd: cli.directory,
      keepInput: true,
      deadlineMs: 100_000,
    });
    const type = (text: string) => terminal.child.stdin?.write(text);
    const shown = () => plain(terminal.output.stdout);
    try {
      type(`${setUp}; echo READY$((1 + 1))\r`);
      await eventually(`${shell} is ready`, () => shown().includes("READY2") || undefined, 40_000);
      type(keys);
      return await eventually(
        `${shell} shows ${expected}`,
        () => (expected.test(shown().split("READY2").at(-1) ?? "") ? shown() : undefined),
        40_000,
      ).catch((error: Error) => assert.fail(`${error.message}\n${JSON.stringify(shown())}`));
    } finally {
      type("\u0015exit\r");
      terminal.child.kill("SIGHUP");
      await terminal.ended;
    }
  }

  for (const shell of ["bash", "zsh"] as const) {
    it(
      `${shell}: Tab ends a command, a value behind a blank or "=", and @last`,
      { skip: missing(shell, "script") },
      async () => {
        await script(shell);
        const { setUp } = SHELLS[shell];
        const begun = ["enq\tx --eff\thi\t", "tasks --status=comp\t", "show @l\t"];
        // The line that Tab has made is printed: Ctrl-A goes to its beginning.
        const keys = begun.map((words) => `myzel ${words}\u0001echo GOT \r`).join("");
        const printed = await screen(shell, setUp, keys, /^GOT myzel show @last *$/m);
        assert.match(printed, /^GOT myzel enqueue x --effort high *$/m);
        assert.match(printed, /^GOT myzel tasks --status=completed *$/m);
      },
    );
  }

  it(
    "zsh: lists tasks newest first with their prompts; installed as a file of fpath, too",
    { skip: missing("zsh", "script") },
    async () => {
      const old = await cli.db.insert({ prompt: "The older one: first" });
      const young = await cli.db.insert({ prompt: "The younger one" });
      mkdirSync(join(cli.directory, "functions"), { recursive: true });
      writeFileSync(join(cli.directory, "functions", "_myzel"), (await myzel(["completion", "zsh"])).stdout);
      const listed = await screen(
        "zsh",
        "fpath=(./functions $fpath); autoload -Uz compinit; compinit -u -d ./dump-of-files",
        "myzel show \t",
        /@last {5}-- the newest task/,
      );
      assert.match(
        listed,
        new RegExp(`${young.slice(-8)}  -- The younger one\\s+${old.slice(-8)}  -- The older one: first`),
      );
    },
  );

  it("zsh: says what is missing where compinit was not called", { skip: missing("zsh") }, async () => {
    await script("zsh");
    const ran = await startProgram("zsh", ["-f", "-c", "source ./completion.zsh"], { cwd: cli.directory }).ended;
    assert.match(ran.stderr, /needs "autoload -Uz compinit && compinit" before it/);
  });

  it(
    "fish: offers what fits with descriptions, and files only where nothing does",
    { skip: missing("fish") },
    async () => {
      await script("fish");
      const complete = async (typed: string) => {
        const ran = await startProgram(
          "fish",
          ["--no-config", "-c", `source ./completion.fish; complete -C '${typed}'`],
          {
            env: environment(),
            cwd: cli.directory,
          },
        ).ended;
        assert.deepEqual([ran.code, ran.stderr], [0, ""]);
        return ran.stdout.trimEnd().split("\n");
      };
      assert.deepEqual(await complete("myzel ta"), ["tasks\tlist tasks, newest first"]);
      assert.deepEqual(await complete("myzel tasks --status "), [
        "pending",
        "running",
        "completed",
        "succeeded",
        "failed",
      ]);
      assert.deepEqual(await complete("myzel tasks --status=pe"), ["--status=pending"]);
      assert.deepEqual(await complete("myzel enqueue --file completion.f"), ["completion.fish"]);
    },
  );
});
