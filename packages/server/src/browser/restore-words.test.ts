/** The sentences before the button: they must say what happens, and nothing that does not. */
import { describe, expect, it } from "vitest";
import { downloadUrl } from "./restore-api.ts";
import { readDraft } from "./restore-draft.ts";
import { foundWords, indexWords } from "./restore-search.ts";
import { differingVersions, versionsWords } from "./restore-versions.ts";
import { type Choice, itemWords, namesOf, restoreSentences } from "./restore-words.ts";

const file = (ref: string, sizeBytes: number) => ({ ref, path: ref, kind: "file", sizeBytes });
const folder = (ref: string) => ({ ref, path: ref, kind: "folder", sizeBytes: null });
const choice: Choice = {
  snapshot: { words: "2026-11-23 04:12:09 UTC · www", files: 1204, bytes: 5 * 1024 ** 3 },
  items: [folder("/srv/www"), file("/etc/hosts", 412)],
  ...{ hostName: "web-01", sourceName: "web-01", inPlace: false, directory: "", overwrite: "always" },
  ...{ count: null, keepOwners: false, includes: 0, excludes: 0, moved: 0, verify: false },
};

describe("the summary", () => {
  it("says what goes where, and that nothing is touched", () => {
    expect(restoreSentences(choice)).toEqual([
      "Of the snapshot 2026-11-23 04:12:09 UTC · www, 1 folder and 1 file (412 B) go into a new folder in the agent’s home on web-01.",
      "Folders come with everything in them; a dry run counts it.",
      "Nothing that exists there is touched.",
      "The files will belong to the agent’s user.",
    ]);
  });

  it("says how much folders hold, once it is counted", () => {
    const about = (change: Partial<Choice>) => restoreSentences({ ...choice, ...change })[1];
    const count = { files: 12_345, folders: 678, bytes: 5 * 1024 ** 3 };
    expect(about({ count })).toBe("That is 12,345 files in 678 folders, 5.00 GiB.");
    expect(about({ count, excludes: 1 })).toContain("of which the patterns below let a part through");
    expect(about({ count: { files: 1, folders: 0, bytes: 3 } })).toBe("That is 1 file, 3 B.");
    expect(about({ count: "counting" })).toContain("which is being counted");
    expect(about({ count: "counting", items: [file("/etc/hosts", 412)] })).toBe(
      "Nothing that exists there is touched.",
    );
  });

  it("in place says what becomes of a file that is there", () => {
    const words = restoreSentences({ ...choice, inPlace: true, overwrite: "never" }).join(" ");
    expect(words).toContain("go back to where they were on web-01");
    expect(words).toContain("A file that is there already is kept. Owners are kept.");
  });

  it("of everything has the figures of the snapshot", () => {
    const [first] = restoreSentences({ ...choice, items: [folder("/")], directory: "/mnt/back" });
    expect(first).toContain("everything (1,204 files, 5.00 GiB) goes into /mnt/back on web-01");
  });

  it("on another host names both, and warns of the owners", () => {
    const words = restoreSentences({ ...choice, hostName: "web-02", keepOwners: true }).join(" ");
    expect(words).toContain("www of web-01, ");
    expect(words).toContain("may be other users on web-02");
  });

  it("has a sentence for each thing more", () => {
    const words = restoreSentences({ ...choice, includes: 1, excludes: 2, moved: 1, verify: true }).join(" ");
    expect(words).toContain("Only what matches 1 pattern comes. What matches 2 patterns is left out.");
    expect(words).toContain("1 place is put elsewhere. Every file is read again and compared.");
  });

  it.each([
    ["no snapshot", { snapshot: null }],
    ["no files", { items: [] }],
  ])("says nothing while there is %s", (_what, change) => {
    expect(restoreSentences({ ...choice, ...change })).toEqual([]);
  });
});

it("counts what is chosen, and says so when it does not know what it is", () => {
  expect(itemWords([])).toBe("nothing");
  expect(itemWords([file("/a", 1), file("/b", 2)])).toBe("2 files (3 B)");
  expect(itemWords([{ ...folder("/a"), kind: "path" }, folder("/b"), file("/c", 1)])).toBe(
    "1 folder, 1 file (1 B) and 1 path",
  );
  expect(namesOf([folder("/a"), folder("/b"), folder("/c"), folder("/d"), folder("/e")])).toBe(
    "/a, /b, /c and 2 more",
  );
});

describe("versions", () => {
  const version = (snapshot_id: string, is_same_as_newer: boolean) => ({
    ...{ snapshot_id, time: "2026-11-23T04:12:09.000Z", kind: "file", size_bytes: 1, modified_at: null },
    is_same_as_newer,
  });

  it("that are the same are one, with the number of snapshots that have it", () => {
    const differing = differingVersions([version("a", false), version("b", true), version("c", false)]);
    expect(differing.map(({ snapshot_id, count }) => [snapshot_id, count])).toEqual([
      ["a", 2],
      ["c", 1],
    ]);
  });

  it("are counted in words, and say when older ones were not looked into", () => {
    const two = [version("a", false), version("b", false)];
    expect(versionsWords(2, { versions: two, truncated: false })).toBe("2 versions in 2 snapshots.");
    expect(versionsWords(1, { versions: two, truncated: true })).toBe(
      "One version in 2 snapshots; older ones were not looked into.",
    );
    expect(versionsWords(0, { versions: [], truncated: false })).toContain("No snapshot");
  });
});

it("a search says what it is waiting for and what it found", () => {
  const indexing = { state: "indexing", indexed_files: 40_211, matches: [], more: false } as const;
  expect(indexWords({ ...indexing, matches: [] })).toContain("40,211 entries so far");
  expect(indexWords({ ...indexing, matches: [], waits_for_job: true })).toContain("running job has ended");
  expect(indexWords({ ...indexing, matches: [], problem: { message: "No room." } })).toBe("No room.");
  expect([foundWords(0, false), foundWords(1, false), foundWords(500, true)]).toEqual([
    ...["Nothing in this snapshot matches.", "1 match", "The first 500 matches"],
  ]);
});

describe("a download's address", () => {
  const place = { hostId: "H1", via: "" };

  it("is a file's bytes for one file and an archive for all else", () => {
    expect(downloadUrl(place, "ab", [file("/a b", 1)])).toBe(
      "/api/hosts/H1/snapshots/ab/download?path=%2Fa+b",
    );
    expect(downloadUrl(place, "ab", [folder("/a")])).toContain("format=tar");
    expect(downloadUrl(place, "ab", [file("/a", 1), file("/b", 1)])).toContain(
      "path=%2Fa&path=%2Fb&format=tar",
    );
  });

  it("is a zip for one folder only", () => {
    expect(downloadUrl(place, "ab", [folder("/a")], "zip")).toContain("format=zip");
    expect(downloadUrl(place, "ab", [file("/a", 1)], "zip")).toBeNull();
    expect(downloadUrl(place, "ab", [folder("/a"), folder("/b")], "zip")).toBeNull();
  });

  it.each([
    ["nothing", []],
    ["a pipe", [{ ref: "/p", kind: "fifo" }]],
    ["more than an address holds", [{ ref: `/${"x".repeat(8000)}`, kind: "file" }]],
  ])("is none for %s", (_what, items) => {
    expect(downloadUrl(place, "ab", items)).toBeNull();
  });
});

it.each([null, 1, "x", [], {}, { fields: 1, items: [] }, { fields: {}, items: 1 }])(
  "a kept draft that is %j is none",
  (value) => {
    expect(readDraft(value)).toBeNull();
  },
);

it("of a kept draft only what has the right shape is taken", () => {
  const good = file("/a", 1);
  expect(readDraft({ fields: { target: "in_place", bad: 1 }, items: [good, null, { ref: 1 }] })).toEqual({
    fields: { target: "in_place" },
    items: [good],
  });
});
