/**
 * The last net before anything is printed: takes out what looks like a secret, whoever put it there.
 * Works on text, so that it also sees what hides in messages, stacks and JSON; in linear time, for the text may be
 * somebody's who wants to slow us down.
 */

const HIDDEN = "[hidden]";

/** Claude tokens and API keys, GitHub and GitLab tokens. */
const TOKENS = /\b(sk-ant-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,})/g;
/** Three parts of which the first holds the beginning of a JSON web token; and the token in it. */
const THREE_PARTS = /(?<![\w-])(?=[\w-]*?\beyJ[\w-]{10})[\w-]+\.[\w-]{10,}\.[\w-]*/g;
const WEB_TOKEN = /\beyJ[\w-]{10,}\..*/;
/** The password of any URL. */
const URL_PASSWORDS = /(:\/\/[^\s/:@"']*):[^\s/@"']+@/g;
const PASSWORD_PARAMETERS = /([?&](?:password|sslpassword)=)[^&\s"']+/gi;
const BEARERS = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/g;
/** `"token":"…"` and the like, in JSON. */
const NAMED_FIELDS =
  /"(?=[\w-]*(?:token|password|passwd|secret|api_?key|authorization|credential_value))([\w-]+)":"(?:[^"\\]|\\.)*"/gi;

/** The text with everything that looks like a secret replaced. */
export function scrubbed(text: string): string {
  return text
    .replace(TOKENS, HIDDEN)
    .replace(THREE_PARTS, (parts) => parts.replace(WEB_TOKEN, HIDDEN))
    .replace(URL_PASSWORDS, `$1:${HIDDEN}@`)
    .replace(PASSWORD_PARAMETERS, `$1${HIDDEN}`)
    .replace(BEARERS, `$1 ${HIDDEN}`)
    .replace(NAMED_FIELDS, `"$1":"${HIDDEN}"`);
}
