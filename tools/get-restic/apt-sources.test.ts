/** Which of a machine's apt sources are the distribution's own, in both spellings. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findMirrors, parseAptSources, parseDistribution, sourceLine } from "./apt-sources.ts";

const debian = { id: "debian", codename: "bookworm" } as const;
const ubuntu = { id: "ubuntu", codename: "noble" } as const;
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

describe("os-release", () => {
  it("knows Debian and Ubuntu and nothing else", () => {
    expect(parseDistribution('NAME="x"\nVERSION_CODENAME=bookworm\nID=debian\n')).toEqual(debian);
    expect(parseDistribution('ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME="noble"\n')).toEqual(ubuntu);
    expect(parseDistribution("ID=fedora\nVERSION_CODENAME=x\n")).toBeUndefined();
    expect(parseDistribution("ID=debian\n")).toBeUndefined();
  });
});

describe("apt sources", () => {
  it("reads deb822 stanzas with comments, several mirrors and folded fields", () => {
    const text = `# a comment
Types: deb deb-src
# http://old.example/debian
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm bookworm-updates
Components: main
  contrib
Signed-By: ${debianKeyring}

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
`;
    const source = {
      suites: ["bookworm", "bookworm-updates"],
      components: ["main", "contrib"],
      signedBy: debianKeyring,
    };

    expect(parseAptSources("debian.sources", text)).toEqual([
      { uri: "http://one.example/debian", ...source },
      { uri: "http://two.example/debian", ...source },
    ]);
  });

  it("takes a key that stands in the stanza itself for no file", () => {
    const text =
      "Types: deb\nURIs: http://one.example\nSuites: x\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n abc\n";

    expect(parseAptSources("a.sources", text)[0]?.signedBy).toBeUndefined();
  });

  it("reads one-line entries with and without options", () => {
    const text = `# deb http://off.example/debian bookworm main
deb http://one.example/debian bookworm main contrib # near
deb [arch=amd64 signed-by=${debianKeyring}] mirror+file:/etc/apt/mirrors.list bookworm main
deb-src http://one.example/debian bookworm main
`;

    expect(parseAptSources("sources.list", text)).toEqual([
      {
        uri: "http://one.example/debian",
        suites: ["bookworm"],
        components: ["main", "contrib"],
        signedBy: undefined,
      },
      {
        uri: "mirror+file:/etc/apt/mirrors.list",
        suites: ["bookworm"],
        components: ["main"],
        signedBy: debianKeyring,
      },
    ]);
  });

  it.each(["a.list", "a.sources"])("never throws on any text in %s", (name) => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => Array.isArray(parseAptSources(name, text))),
    );
  });
});

describe("mirrors", () => {
  const source = (uri: string, suite: string, components: string[], signedBy?: string) => ({
    uri,
    suites: [suite],
    components,
    signedBy,
  });

  it("are the distribution's own: right suite, main, the distribution's key or none named", () => {
    const own = source("http://named.example", "bookworm", ["main"], debianKeyring);
    const unnamed = source("http://unnamed.example", "stable", ["main", "contrib"]);
    const others = [
      source("http://docker.example", "bookworm", ["stable"], "/etc/apt/keyrings/docker.asc"),
      source("http://vendor.example", "bookworm", ["main"], "/usr/share/keyrings/vendor.gpg"),
      source("http://security.example", "bookworm-security", ["main"], debianKeyring),
    ];

    expect(findMirrors([unnamed, ...others, own], debian)).toEqual([own, unnamed]);
  });

  it("give a line for a newer suite that always names a keyring", () => {
    const mirror = source("http://one.example/debian", "bookworm", ["main"]);

    expect(sourceLine(mirror, debian, "forky")).toBe(
      `deb [signed-by=${debianKeyring}] http://one.example/debian forky main\n`,
    );
    expect(sourceLine({ ...mirror, signedBy: "/k/own.gpg" }, ubuntu, "resolute")).toBe(
      "deb [signed-by=/k/own.gpg] http://one.example/debian resolute universe\n",
    );
  });
});
