/** The agent phase against a scripted model, in one call. */
import { type PhaseOptions, type PhaseRun, type Workspace, makeWorkspace, runPhase } from "./agent-phase.ts";
import { type Script, type ScriptedModel, startScriptedModel } from "./scripted-model.ts";

export interface Played extends PhaseRun {
  model: ScriptedModel;
  workspace: Workspace;
}

/** Runs the phase against a script and hands all to `look`; ends model and workspace. `prepare` may change the options. */
export async function play(
  script: Script,
  options: PhaseOptions & { prepare?: (workspace: Workspace) => PhaseOptions | void },
  look: (played: Played) => void | Promise<void>,
): Promise<void> {
  const model = await startScriptedModel(script);
  const workspace = makeWorkspace();
  try {
    const prepared = options.prepare?.(workspace) ?? {};
    const run = await runPhase(workspace, { modelUrl: model.url, ...options, ...prepared });
    await look({ ...run, model, workspace });
  } finally {
    await model.close();
    workspace.remove();
  }
}
