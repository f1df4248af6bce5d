/** `myzel doctor`: checks every prerequisite and says how to mend each. Changes nothing. */
import type { Command } from "commander";
import type { Check } from "../../check.ts";
import type { Config } from "../../config.ts";
import { EXIT } from "../failure.ts";
import { addSettings, configOf } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";
import { checkBlocked, checkClaude } from "./claude.ts";
import { checkTheCluster } from "./cluster.ts";
import { checkDatabase } from "./database.ts";
import { checkMachine } from "./machine.ts";
import { checkProfileSecrets } from "./profile-secrets.ts";

const SIGNS: Readonly<Record<Check["status"], string>> = {
  ok: "✓",
  warning: "!",
  problem: "✗",
  unknown: "?",
};

interface Options {
  json?: boolean;
  cluster?: boolean;
  tryPod?: boolean;
}

export function define(command: Command): void {
  command
    .option("--json", "one object a line: name, status (ok, warning, problem, unknown), message, mend")
    .option("--cluster", "look at the cluster too (default where runs are Jobs)")
    .option("--try-pod", "start a short pod of each image there: can it be pulled, are network policies enforced")
    .addHelpText(
      "after",
      `
What cannot be told with this login has a "?" and how to find out. Exit code 1 where a ✗ is among the findings.

Examples:
  myzel doctor
  myzel doctor --cluster --try-pod --namespace myzel
  kubectl --namespace myzel exec deployment/myzel-engine -- myzel doctor --try-pod`,
    )
    .action(async (options: Options) => {
      const config = configOf(command);
      // Who names a cluster on the command line wants to know of it; the variable is set for other programs too.
      const named = command.getOptionValue("kubeconfig") !== undefined;
      const all = await checkAll(config, { ...options, cluster: options.cluster === true || named });
      if (options.json === true) all.forEach(sayJson);
      else say(all.map(lines).join("\n"));
      if (all.some((check) => check.status === "problem")) process.exitCode = EXIT.failed;
    });
  addSettings(command, "all");
}

async function checkAll(config: Config, { cluster, tryPod }: Options): Promise<Check[]> {
  const isLauncher = config.launcher === "kubernetes";
  const machine = await checkMachine(config);
  const { checks, stored } = await checkDatabase(config);
  // Runs that are Jobs bring their own Claude Code and take their login from the cluster.
  const claude = isLauncher ? checkBlocked(stored?.rows ?? []) : await checkClaude(config, stored);
  const secrets = isLauncher || stored === null ? [] : checkProfileSecrets(config, stored);
  const asked = isLauncher || cluster === true || tryPod === true;
  const there = asked ? await checkTheCluster(config, stored, { tryPod: tryPod === true }) : [];
  return [...machine, ...checks, ...claude, ...secrets, ...there];
}

function lines({ name, status, message, mend }: Check): string {
  const head = `${SIGNS[status]} ${name.padEnd(18)} ${oneLine(message)}`;
  return mend === null || status === "ok" ? head : `${head}\n    → ${oneLine(mend)}`;
}
