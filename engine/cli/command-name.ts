/** What a person types to reach a command. */
import type { Command } from "commander";

/** `myzel epic stop`: with the names of the commands above it. */
export function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}
