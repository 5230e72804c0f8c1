/** One folder of the host, page by page, whatever is in it. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentMessage, type FsEntries, type FsList } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFolderLister, describeFailure, listFolder } from "./list-folder.ts";

const REQUEST = "01KAQ2W4T9B3E6R8M1N5P7S0VX";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "list-folder-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const ask = (change: Partial<FsList> = {}): FsList => ({
  ...{ type: "fs.list", request_id: REQUEST, path: dir, after: null, limit: 500 },
  ...change,
});
const list = (change: Partial<FsList> = {}, maxNames?: number) =>
  listFolder(ask(change), process.platform, maxNames);
const namesOf = ({ entries }: FsEntries) => entries.map(({ name }) => name);

async function readPages(limit: number, maxNames?: number): Promise<FsEntries[]> {
  const pages: FsEntries[] = [];
  for (let after: string | null = null; ; ) {
    const page = await list({ after, limit }, maxNames);
    pages.push(page);
    if (!page.more) return pages;
    after = page.entries.at(-1)?.name ?? null;
  }
}

describe("the entries", () => {
  test("are folders first, then by name whatever its case, with the sizes of files", async () => {
    for (const name of ["b", "A", "c"]) await mkdir(join(dir, `folder-${name}`));
    await writeFile(join(dir, "b.txt"), "12345");
    await writeFile(join(dir, "A.txt"), "");
    await symlink(join(dir, "folder-b"), join(dir, "a-link"));
    execFileSync("mkfifo", [join(dir, "pipe")]);
    const page = await list();
    expect(page).toEqual({
      ...{ type: "fs.entries", request_id: REQUEST, more: false, error: null },
      entries: [
        { name: "folder-A", kind: "folder", size_bytes: null },
        { name: "folder-b", kind: "folder", size_bytes: null },
        { name: "folder-c", kind: "folder", size_bytes: null },
        { name: "a-link", kind: "link", size_bytes: null },
        { name: "A.txt", kind: "file", size_bytes: 0 },
        { name: "b.txt", kind: "file", size_bytes: 5 },
        { name: "pipe", kind: "other", size_bytes: null },
      ],
    });
  });

  test("of 2,000 names come once each over pages, folders and files mixed", async () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `name-${index}`);
    for (const [index, name] of names.entries())
      await (index % 3 === 0 ? mkdir(join(dir, name)) : writeFile(join(dir, name), ""));
    const pages = await readPages(300);
    expect(pages).toHaveLength(7);
    const entries = pages.flatMap((page) => page.entries);
    expect(entries.map(({ name }) => name).sort()).toEqual([...names].sort());
    expect(entries.findLastIndex(({ kind }) => kind === "folder")).toBe(666);
  });

  test("with odd names are messages that the protocol takes", async () => {
    const odd = ["new\nline", "esc\x1b[31m", '"quoted"', "-dash", " blank ", "emoji😀", "x".repeat(255)];
    for (const name of odd) await writeFile(join(dir, name), "1");
    const latin = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x66, 0xfc, 0x72])]);
    await writeFile(latin, "1");
    const page = await list();
    expect(agentMessage.safeParse(page).success).toBe(true);
    expect(namesOf(page).sort()).toEqual([...odd, "f\ufffdr"].sort());
    expect(page.entries.find(({ name }) => name === "f\ufffdr")).toEqual({
      ...{ name: "f\ufffdr", kind: "file", size_bytes: null },
    });
  });

  test("after a name that went away meanwhile go on behind it", async () => {
    for (const name of ["a", "c"]) await mkdir(join(dir, name));
    await writeFile(join(dir, "0"), "");
    expect(namesOf(await list({ after: "b" }))).toEqual(["c", "0"]);
    expect(namesOf(await list({ after: "zzz" }))).toEqual(["0"]);
  });

  test("of a folder beyond all bounds end with a page that says so", async () => {
    for (let index = 0; index < 10; index += 1) await writeFile(join(dir, `n${index}`), "");
    const pages = await readPages(3, 6);
    expect(pages.map((page) => [page.entries.length, page.more])).toEqual([
      [3, true],
      [3, true],
      [0, false],
    ]);
  });

  test("of where the host begins are those of its root", async () => {
    expect(namesOf(await list({ path: null }))).toContain("tmp");
  });
});

describe("a folder that can't be listed", () => {
  test.each([
    ["is not there", () => join(dir, "gone"), "fs.not_found"],
    ["is a file", () => join(dir, "file"), "fs.not_a_folder"],
    ["is below a file", () => join(dir, "file", "x"), "fs.not_a_folder"],
    ["is a link, even with a slash behind it", () => `${join(dir, "link")}/`, "fs.not_a_folder"],
    ["is relative", () => "etc", "fs.relative_path"],
    ["is a path of Windows", () => "C:\\Users", "fs.relative_path"],
    ["can't be a path at all", () => "/a\0b", "fs.failed"],
  ])("because it %s has a code and a sentence", async (_why, path, code) => {
    await writeFile(join(dir, "file"), "");
    await symlink(dir, join(dir, "link"));
    const page = await list({ path: path() });
    expect(page).toMatchObject({ entries: [], more: false, error: { code } });
    expect(agentMessage.safeParse(page).success).toBe(true);
  });
});

// Tests often run as root, who has every right.
test.each(["EACCES", "EPERM"])("a folder without rights (%s) says whose they would have to be", (code) => {
  expect(describeFailure(Object.assign(new Error(code), { code }), "/root")).toEqual({
    code: "fs.no_rights",
    message: expect.stringContaining("agent's user"),
  });
});

describe("requests", () => {
  test("run two at a time, and far too many are refused", async () => {
    const begun: ((page: FsEntries) => void)[] = [];
    const lister = createFolderLister("linux", () => new Promise((answer) => begun.push(answer)));
    const answers = Array.from({ length: 19 }, () => lister(ask()));
    expect(await answers.at(-1)).toMatchObject({ error: { code: "fs.failed" } });
    expect(begun).toHaveLength(2);
    const page: FsEntries = {
      ...{ type: "fs.entries", request_id: REQUEST, entries: [], more: false, error: null },
    };
    begun[0]?.(page);
    await answers[0];
    expect(begun).toHaveLength(3);
  });
});
