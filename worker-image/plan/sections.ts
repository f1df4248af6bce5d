/**
 * The plan's text: a section for each epic, and before the first one what people wrote for all.
 *
 * A section begins with a heading that carries the epic's marker, and ends before the next such heading of any epic, or
 * with the file; so headings within a section are the epic's own. Texts are bytes as latin1 (`textOf`), so that what
 * others wrote comes through as it is, whatever its encoding. Pure.
 */

/** Where the plan lies, in every repository. */
export const PLAN_DIRECTORY = ".ai";
export const PLAN_FILE = ".ai/plan.md";

/** By which an epic's section is found. */
export function epicMarker(epicId: string): string {
  return `<!-- epic: ${epicId} -->`;
}

/** The section of an epic that has none yet: a heading. */
export function newSection(epic: { id: string; title: string }): string {
  const title = epic.title
    .replace(/(?:<!--|-->|[\p{Cc}#\s])+/gu, " ")
    .trim()
    .slice(0, 200);
  return textOf(Buffer.from(`## ${title === "" ? "Epic" : title} ${epicMarker(epic.id)}\n`));
}

/** A text for the functions here; `bytesOf` turns it back. */
export function textOf(bytes: Buffer): string {
  return bytes.toString("latin1");
}

/** The bytes of a text from here. */
export function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

/** The epic's section, its heading included and no empty line around it; several with its marker as one. Null: none. */
export function sectionOf(plan: string, epicId: string): string | null {
  const own = partsOf(plan).filter((part) => part.epic === epicId);
  return own.length === 0 ? null : trimmed(textOfParts(own));
}

/** The plan with the epic's section in place of the one it has; at its end where it has none. */
export function withSection(plan: string, epicId: string, section: string): string {
  const parts = partsOf(plan);
  const at = parts.findIndex((part) => part.epic === epicId);
  const before = (at === -1 ? parts : parts.slice(0, at)).filter((part) => part.epic !== epicId);
  const after = (at === -1 ? [] : parts.slice(at)).filter((part) => part.epic !== epicId);
  const texts = [textOfParts(before), section, textOfParts(after)].map(trimmed);
  return `${texts.filter((text) => text !== "").join("\n\n")}\n`;
}

/** The epics that have a section, each once. */
export function epicsOf(plan: string): string[] {
  return [...new Set(partsOf(plan).flatMap(({ epic }) => (epic === null ? [] : [epic])))];
}

/** The plan without the sections of these epics. */
export function withoutSections(plan: string, epicIds: readonly string[]): string {
  return textOfParts(partsOf(plan).filter(({ epic }) => epic === null || !epicIds.includes(epic)));
}

/** What the section's heading says, for people. */
export function titleOf(section: string): string {
  const heading = bytesOf(section.split("\n", 1)[0] ?? "").toString("utf8");
  return heading
    .replace(/^#+|<!--.*$/g, "")
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim();
}

/** The plan without the sections of other epics, where it is longer than `maxLength`. */
export function shortened(plan: string, epicId: string, maxLength: number): string {
  if (plan.length <= maxLength) return plan;
  const parts = partsOf(plan);
  const kept = parts.filter((part) => part.epic === null || part.epic === epicId);
  if (kept.length === parts.length) return plan;
  return `<!-- ${parts.length - kept.length} sections of other epics are left out here. -->\n\n${textOfParts(kept)}`;
}

/** Whether there is a section of any epic. */
export function hasSections(plan: string): boolean {
  return partsOf(plan).some((part) => part.epic !== null);
}

/** What is before the first section. */
export function preambleOf(plan: string): string {
  return trimmed(textOfParts(partsOf(plan).filter((part) => part.epic === null)));
}

/** Without empty lines at both ends; no other character is touched, for a byte of many may look like white space. */
export function trimmed(text: string): string {
  const lines = text.split("\n");
  const hasText = (line: string): boolean => /[^ \t\r]/.test(line);
  return lines.slice(lines.findIndex(hasText), lines.findLastIndex(hasText) + 1).join("\n");
}

const HEADING = /^#{1,6}[ \t].*<!--[ \t]*epic:[ \t]*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[ \t]*-->/i;

interface Part {
  /** Null: before the first section. */
  epic: string | null;
  lines: string[];
}

function partsOf(plan: string): Part[] {
  const parts: Part[] = [];
  for (const line of plan === "" ? [] : plan.split(/(?<=\n)/)) {
    const epic = HEADING.exec(line)?.[1]?.toLowerCase() ?? null;
    const last = parts.at(-1);
    if (epic !== null || last === undefined) parts.push({ epic, lines: [line] });
    else last.lines.push(line);
  }
  return parts;
}

function textOfParts(parts: readonly Part[]): string {
  return parts.flatMap(({ lines }) => lines).join("");
}
