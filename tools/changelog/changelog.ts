/**
 * Builds CHANGELOG.md from one small file per user-visible change.
 *
 * A change is `changes/NNNN-some-words.md`: the line `kind: added|changed|fixed`, an empty line, then what it
 * means for a user. At a release the files move into `changes/<version>/`, which becomes a section.
 *
 * Invariants: the same files give the same text on every machine; a file that is not understood is an error
 * that names it.
 */
import { compareVersions } from "../get-restic/version.ts";

/** One file below `changes/`, its path relative to that folder. */
export interface ChangeFile {
  readonly path: string;
  readonly text: string;
}

const kinds = ["added", "changed", "fixed"] as const;

interface Change {
  readonly kind: (typeof kinds)[number];
  /** The heading of its section: a version, or `unreleased`. */
  readonly section: string;
  readonly path: string;
  readonly text: string;
}

const unreleased = "Unreleased";

const opening = `# Changelog

Built from \`changes/\` by \`npm run changelog\`; edit the files there.
`;

/** The whole CHANGELOG.md. Throws an Error that names the first file that is not understood. */
export function buildChangelog(files: readonly ChangeFile[]): string {
  const changes = files.map(parseChange);
  const headings = [...new Set(changes.map((change) => change.section))].sort(byAge);
  const sections = headings.map((heading) => {
    const own = changes.filter((change) => change.section === heading);
    return `## ${heading}\n\n${kinds.flatMap((kind) => listKind(kind, own)).join("\n\n")}\n`;
  });
  return [opening, ...sections].join("\n");
}

function parseChange({ path, text }: ChangeFile): Change {
  const name = /^(?:(\d+\.\d+\.\d+)\/)?\d{4}-[a-z0-9-]+\.md$/.exec(path);
  if (name === null) throw new Error(`changes/${path}: the name must look like 0001-some-words.md`);
  const [, word, body] = /^kind: (\w+)\n\n([\s\S]+)$/.exec(text) ?? [];
  const kind = kinds.find((known) => known === word);
  if (kind === undefined || body === undefined || body.trim() === "") {
    throw new Error(`changes/${path}: must be "kind: ${kinds.join("|")}", an empty line, and a text`);
  }
  return { kind, section: name[1] ?? unreleased, path, text: body.trim() };
}

/** What is not released yet comes first, then the newest version. */
function byAge(a: string, b: string): number {
  if (a === unreleased || b === unreleased) return a === unreleased ? -1 : 1;
  return compareVersions(b, a);
}

function listKind(kind: Change["kind"], changes: readonly Change[]): string[] {
  const own = changes.filter((change) => change.kind === kind);
  const items = own.sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ text }) => `- ${indent(text)}`);
  return items.length === 0 ? [] : [`### ${kind[0]?.toUpperCase()}${kind.slice(1)}\n\n${items.join("\n")}`];
}

function indent(text: string): string {
  return text.replace(/\n(?=.)/g, "\n  ");
}
