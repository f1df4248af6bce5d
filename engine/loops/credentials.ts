/** Asks the launcher whether each credential can be used here, so that tasks wait with a reason instead of failing. */
import { credentials, noteCredentialProblem } from "../store/credentials.ts";
import type { Leader } from "./leader.ts";
import type { Tick } from "./loop.ts";

const LOOK_MS = 30_000;

export function credentialsTick(leader: Leader): Tick {
  return async () => {
    for (const credential of await credentials(leader.database)) {
      const problem = await leader.launcher.credentialProblem(credential);
      if (problem === credential.problem) continue;
      await noteCredentialProblem(leader.database, credential.name, problem);
      if (problem === null) leader.log.info({ credential: credential.name }, "credential can be used");
      else leader.log.warn({ credential: credential.name, reason: problem }, "credential cannot be used");
    }
    return LOOK_MS;
  };
}
