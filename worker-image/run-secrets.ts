/** The secrets of a run, each with a name for people: what is masked everywhere and never pushed. */
import { claudeSecrets } from "./claude-secrets.ts";
import { profileSecrets, secretTexts } from "./profile-secrets.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface NamedSecret {
  /** As in "a new commit contains …". */
  name: string;
  value: string;
}

/** Every secret that the phase's environment holds or names. */
export function namedSecrets(environment: Environment): NamedSecret[] {
  const values: [name: string, value: string | undefined][] = [
    ["the git password", environment["MYZEL_GIT_PASSWORD"]],
    ["the run's token", environment["MYZEL_RUN_TOKEN"]],
    ["the database password", databasePassword(environment["MYZEL_DATABASE_URL"])],
    ...claudeSecrets(environment).map((value): [string, string] => ["the Claude login", value]),
    ...Object.entries(profileSecrets(environment)).flatMap(([name, value]) =>
      secretTexts(value).map((text): [string, string] => [`the secret ${name}`, text]),
    ),
  ];
  return values.flatMap(([name, value]) => (value ? [{ name, value }] : []));
}

/** Their values alone. */
export function secretValues(environment: Environment): string[] {
  return namedSecrets(environment).map(({ value }) => value);
}

function databasePassword(url: string | undefined): string | undefined {
  const parsed = URL.parse(url ?? "");
  if (parsed === null) return undefined;
  const password = parsed.password || parsed.searchParams.get("password") || undefined;
  try {
    return password === undefined ? undefined : decodeURIComponent(password);
  } catch {
    return password;
  }
}
