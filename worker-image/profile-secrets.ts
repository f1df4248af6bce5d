/** The secrets that the profile gives the agent, as the launcher hands them to the phases. */
import { SECRET_PREFIX } from "./contract.ts";

/** By the name of the agent's variable; empty ones are left out. */
export function profileSecrets(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found = Object.entries(environment).flatMap(([name, value]): [string, string][] =>
    name.startsWith(SECRET_PREFIX) && value ? [[name.slice(SECRET_PREFIX.length), value]] : [],
  );
  return Object.fromEntries(found);
}

/** What of a secret is masked and never pushed: all of it, and of a text of several lines (a key) those that are secret by themselves. */
export function secretTexts(value: string): string[] {
  const lines = value.split(/\r?\n/);
  return lines.length === 1 ? [value] : [value, ...lines.filter((line) => SECRET_LINE.test(line))];
}

/** A long run of base64: nothing that an ordinary text has too. */
const SECRET_LINE = /^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=_-]{24,}$/;
