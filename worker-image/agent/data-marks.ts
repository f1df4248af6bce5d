/** Marks text of others as data; the system prompts say that nothing between the marks is an instruction. Pure. */

/** The text between marks that it cannot close itself. `from`: where it comes from, in our own words. */
export function asData(from: string, text: string): string {
  return `<data from="${from.replace(/["<>\p{Cc}]/gu, " ")}">\n${text.replace(/<(\/?data)/gi, "&lt;$1")}\n</data>`;
}
