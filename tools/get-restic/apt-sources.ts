/**
 * Reads the machine's own apt sources and derives from them where a newer suite of the same distribution is.
 *
 * Invariants: pure; nothing here names a mirror; entries of third parties are never used.
 * Both spellings are read: deb822 (`.sources`) and one line per source (`.list`).
 */

/** One place that packages come from. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Keyring file; undefined when none is named or when the key stands in the entry itself. */
  readonly signedBy: string | undefined;
}

/** What the machine says about itself in os-release. */
export interface Distribution {
  readonly id: "debian" | "ubuntu";
  readonly codename: string;
}

/** Newer suites by distribution, the best first. The development suites come last: they change daily. */
export const newerSuites: Readonly<Record<Distribution["id"], readonly string[]>> = {
  debian: ["forky", "trixie", "sid"],
  ubuntu: ["resolute", "questing", "devel"],
};

/** Where restic lives: Debian's main, Ubuntu's universe. */
const componentOf: Readonly<Record<Distribution["id"], string>> = { debian: "main", ubuntu: "universe" };

/** Parses os-release; undefined on any other system than Debian and Ubuntu. */
export function parseDistribution(osRelease: string): Distribution | undefined {
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(osRelease)?.[1];
  const id = field("ID");
  const codename = field("VERSION_CODENAME");
  return (id === "debian" || id === "ubuntu") && codename !== undefined ? { id, codename } : undefined;
}

/** Parses one file of apt sources; what it does not understand it leaves out. */
export function parseAptSources(fileName: string, text: string): AptSource[] {
  return fileName.endsWith(".sources") ? parseStanzas(text) : parseLines(text);
}

function parseStanzas(text: string): AptSource[] {
  const withoutComments = text.replace(/^#.*\n?/gm, "");
  return withoutComments.split(/\n[ \t]*\n/).flatMap((stanza) => {
    // A continuation line starts with a blank and belongs to the field before it.
    const unfolded = stanza.replace(/\n[ \t]+/g, " ");
    const words = (name: string) => {
      const value = new RegExp(`^${name}:[ \t]*(.*)$`, "im").exec(unfolded)?.[1] ?? "";
      return value.split(/\s+/).filter((word) => word !== "");
    };
    if (!words("Types").includes("deb") || /^(no|false|0)$/i.test(words("Enabled")[0] ?? "")) return [];
    const [signedBy] = words("Signed-By").filter((word) => word.startsWith("/"));
    return words("URIs").map((uri) => ({
      uri,
      suites: words("Suites"),
      components: words("Components"),
      signedBy,
    }));
  });
}

function parseLines(text: string): AptSource[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+([^#]+)/.exec(line);
    const [, options = "", uri, rest] = match ?? [];
    if (uri === undefined || rest === undefined) return [];
    const [suite = "", ...components] = rest.trim().split(/\s+/);
    const signedBy = /(?:^|\s)signed-by=(\/[^\s,]+)/i.exec(options)?.[1];
    return [{ uri, suites: [suite], components, signedBy }];
  });
}

/**
 * Finds the distribution's own mirrors among all sources: they carry the running suite with `main`, and their
 * key, where one is named, is the distribution's. Mirrors with such a key come first.
 */
export function findMirrors(sources: readonly AptSource[], distribution: Distribution): AptSource[] {
  const keyring = `${distribution.id}-archive`;
  const own = sources.filter(
    (source) =>
      source.components.includes("main") &&
      source.suites.some((suite) => [distribution.codename, "stable", "testing"].includes(suite)) &&
      (source.signedBy === undefined || source.signedBy.includes(keyring)),
  );
  const isNamed = (source: AptSource) => source.signedBy !== undefined;
  return [...own.filter(isNamed), ...own.filter((source) => !isNamed(source))];
}

/** The line of a private sources.list that adds a newer suite on such a mirror, with a keyring in any case. */
export function sourceLine(mirror: AptSource, distribution: Distribution, suite: string): string {
  const keyring = mirror.signedBy ?? `/usr/share/keyrings/${distribution.id}-archive-keyring.gpg`;
  return `deb [signed-by=${keyring}] ${mirror.uri} ${suite} ${componentOf[distribution.id]}\n`;
}
