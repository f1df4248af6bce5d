/**
 * Reads the API server's JSON without `metadata.managedFields`: who wrote which field is half of each object, and
 * nothing here asks for it. Pure.
 */

/** Always the last field of `metadata`, and never the only one. */
const BEGIN = ',"managedFields":[';
/** Ends the last entry, the list and the metadata; inside of text the quote would be escaped. */
const END = '}]},"';

/** @throws SyntaxError where the text is no JSON */
export function parseObjects(text: string): unknown {
  const lean = withoutManagedFields(text);
  if (lean === text) return JSON.parse(text);
  try {
    return JSON.parse(lean);
  } catch {
    return JSON.parse(text); // a name in it looked like the list's end
  }
}

function withoutManagedFields(text: string): string {
  let lean = "";
  let from = 0;
  for (let begin = text.indexOf(BEGIN); begin >= 0; begin = text.indexOf(BEGIN, from)) {
    const end = text.indexOf(END, begin);
    if (end < 0) break;
    lean += text.slice(from, begin);
    from = end + "}]".length;
  }
  return lean + text.slice(from);
}
