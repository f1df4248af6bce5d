/** `myzel doctor`: checks every prerequisite and says how to mend each. Changes nothing. */
import type { Command } from "commander";
import { checkClaude } from "./checks/claude.ts";
import { checkDatabase } from "./checks/database.ts";
import { checkMachine } from "./checks/machine.ts";
import type { Check } from "./checks/check.ts";
import { EXIT } from "./failure.ts";
import { say, sayJson } from "./output.ts";
import { addSettings, configOf } from "./settings.ts";
import { oneLine } from "./terminal-text.ts";

const SIGNS: Readonly<Record<Check["status"], string>> = { ok: "✓", warning: "!", problem: "✗" };

export function define(command: Command): void {
  command
    .option("--json", "one object a line: name, status, message, mend")
    .addHelpText("after", "\nExit code 1 where a ✗ is among the findings.\n\nExample:\n  myzel doctor")
    .action(async (options: { json?: boolean }) => {
      const config = configOf(command);
      const machine = await checkMachine(config);
      const { checks, stored } = await checkDatabase(config);
      const all = [...machine, ...checks, ...(await checkClaude(config, stored))];
      if (options.json === true) all.forEach(sayJson);
      else say(all.map(lines).join("\n"));
      if (all.some((check) => check.status === "problem")) process.exitCode = EXIT.failed;
    });
  addSettings(command, "all");
}

function lines({ name, status, message, mend }: Check): string {
  const head = `${SIGNS[status]} ${name.padEnd(18)} ${oneLine(message)}`;
  return mend === null || status === "ok" ? head : `${head}\n    → ${oneLine(mend)}`;
}
