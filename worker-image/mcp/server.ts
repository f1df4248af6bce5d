/**
 * The MCP server of a run: offers the tools by which an agent asks something of the engine.
 *
 * Holds no credential and reaches no network: what it writes is a wish, which the publish phase hands
 * in and the engine grants or refuses. Started by Claude Code over stdio; `MYZEL_OUTBOX` names the directory,
 * `MYZEL_OFFER` (JSON) the tools.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { offerAskHuman } from "./ask-human.ts";
import { offerCreateTask } from "./create-task.ts";
import { offerFinishEpic } from "./finish-epic.ts";
import type { Offer } from "./offer.ts";

function required(name: string): string {
  const value = process.env[name];
  if (value) return value;
  process.stderr.write(`${name} is not set.\n`);
  process.exit(2);
}

const outbox = required("MYZEL_OUTBOX");
const offer = JSON.parse(required("MYZEL_OFFER")) as Offer;

const server = new McpServer({ name: "myzel", version: "1.0.0" });
if (offer.createTask) offerCreateTask(server, outbox);
if (offer.finishEpic) offerFinishEpic(server, outbox);
if (offer.askHuman !== null) offerAskHuman(server, outbox, offer.askHuman);
await server.connect(new StdioServerTransport());
