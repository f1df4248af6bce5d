/** A file of the operator with one YAML document. */
import { loadAll } from "js-yaml";

/** Null where there is nothing in it but comments. @throws Error with line and column, or where there are several documents */
export function parseYaml(text: string): unknown {
  const documents = loadAll(text);
  if (documents.length > 1) throw new Error("it holds several documents");
  return documents[0] ?? null;
}
