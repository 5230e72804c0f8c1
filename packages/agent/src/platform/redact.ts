/**
 * Takes secrets out of text before it leaves the agent: log lines, errors, restic's output. Works on the text
 * itself, so it holds whichever program wrote the line. Must stay free of any knowledge about restic.
 */

const MASK = "***";

/**
 * Below this length a secret cannot be searched for: masking every "a" would destroy all output and, worse,
 * spell the secret out by the holes. Such a password is still masked inside URLs.
 */
const MIN_SECRET_LENGTH = 4;

// The user part ends at the first colon; the password runs to the last "@" before a slash, because people
// forget to percent-encode an "@" in it. No class overlaps "/", so the search stays linear.
const URL_PASSWORD = /\/\/([^\s/:@"]*):[^\s/"]*@/g;

/** The spellings under which one secret may appear in output: raw, percent-encoded, inside JSON (Node, Go). */
function spellings(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const goJson = json.replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
  const wellFormed = secret.toWellFormed();
  const encoded = encodeURIComponent(wellFormed);
  const goEncoded = encoded.replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  const lowerEncoded = encoded.replace(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase());
  return [secret, json, goJson, encoded, goEncoded, lowerEncoded];
}

/**
 * Builds a masking function for a set of secrets, in every spelling of `spellings`, and for any
 * `//user:password@` in a URL. Build once per set, use on every line; cost is linear in the text.
 */
export function createRedactor(secrets: readonly string[]): (text: string) => string {
  const needles = new Set(secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH).flatMap(spellings));
  // Longest first: when one secret contains another, the remainder of the longer one must not stay behind.
  const ordered = [...needles].sort((a, b) => b.length - a.length);
  return (text) => {
    let masked = text;
    for (const needle of ordered) {
      if (masked.includes(needle)) masked = masked.replaceAll(needle, MASK);
    }
    return masked.includes("//") ? masked.replace(URL_PASSWORD, `//$1:${MASK}@`) : masked;
  };
}

/** One-off form of `createRedactor`. */
export function redact(text: string, secrets: readonly string[]): string {
  return createRedactor(secrets)(text);
}
