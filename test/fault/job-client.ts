/** The engine's (and the suite's) side of the job server, and the stand-in launcher on top of it. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { LaunchError } from "../../engine/launch/launcher.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { onLines } from "./job-protocol.ts";
import type { Answer, Envelope, Request } from "./job-protocol.ts";

export interface JobClient {
  /** @throws Error where the connection breaks before the answer */
  ask(request: Request): Promise<Answer>;
  close(): void;
}

const RECONNECT_MS = 50;

/** One connection at a time, made anew when it breaks; `wake` is called on every change and after every break. */
export function jobClient(socketPath: string, wake?: () => void): JobClient {
  let socket: Socket | null = null;
  let closed = false;
  let lastId = 0;
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();

  const connection = async (): Promise<Socket> => {
    if (socket !== null) return socket;
    const made = connect(socketPath);
    made.on("error", () => made.destroy());
    await once(made, "connect");
    socket = made;
    made.once("close", () => lost(made));
    onLines(made, (line) => {
      const { id, body } = JSON.parse(line) as Envelope<Answer>;
      if (id === 0) wake?.();
      else waiting.get(id)?.resolve(body);
      waiting.delete(id);
    });
    if (wake !== undefined) made.write(`${JSON.stringify({ id: ++lastId, body: { call: "watch" } })}\n`);
    return made;
  };
  const lost = (gone: Socket): void => {
    if (socket === gone) socket = null;
    for (const { reject } of waiting.values()) reject(new Error("the connection to the job server broke"));
    waiting.clear();
    if (!closed && wake !== undefined)
      void delay(RECONNECT_MS)
        .then(connection)
        .then(wake, () => undefined);
  };
  if (wake !== undefined) void connection().catch(() => undefined);
  return {
    ask: async (request) => {
      const live = await connection();
      const id = ++lastId;
      const answered = new Promise<Answer>((resolve, reject) => waiting.set(id, { resolve, reject }));
      live.write(`${JSON.stringify({ id, body: request })}\n`);
      return await answered;
    },
    close: () => {
      closed = true;
      socket?.destroy();
    },
  };
}

/** A stand-in launcher: its jobs live in the job server, outlive the engine, and are seen by the next one. */
export function jobServerLauncher(socketPath: string): Launcher {
  let onChange: (() => void) | undefined;
  const calls = jobClient(socketPath);
  const watcher = jobClient(socketPath, () => onChange?.());
  return {
    name: "process",
    host: hostname(),
    credentialProblem: async () => null,
    launch: async ({ jobName, runId, taskId, addressee, token }) => {
      const spec = { jobName, runId, taskId, addressee, token };
      const answer = await calls.ask({ call: "launch", spec });
      if ("launchError" in answer) throw new LaunchError(answer.launchError, "The job server refused it.");
      return { podName: "podName" in answer ? answer.podName : null };
    },
    observe: async () => {
      const answer = await calls.ask({ call: "observe" });
      return "observations" in answer ? answer.observations : [];
    },
    watch: (wake) => {
      onChange = wake;
      return async () => {
        onChange = undefined;
      };
    },
    stop: async (jobName) => void (await calls.ask({ call: "stop", jobName })),
    remove: async (jobName) => void (await calls.ask({ call: "remove", jobName })),
    async *logs(jobName) {
      yield { text: `log of ${jobName}\n`, phase: null, place: "1" };
    },
    close: async () => {
      calls.close();
      watcher.close();
    },
  };
}
