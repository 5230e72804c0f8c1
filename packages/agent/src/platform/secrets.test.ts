/** Sealed secrets: what goes in comes out, what was touched does not, and nothing is ever overwritten blindly. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Secrets } from "./secrets.ts";

const KEY = Buffer.alloc(32, 1);
let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-secrets-"));
  path = join(dir, "secrets.enc");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

type Stored = { version: number; slots: Record<string, string> };
const readStored = async () => JSON.parse(await readFile(path, "utf8")) as Stored;

describe("a secrets file", () => {
  test("gives back what was put in, after a restart", async () => {
    const first = await Secrets.open(path, KEY);
    await first.put("a", 'pässword "with" everything\n');
    await first.put("b", "");
    const second = await Secrets.open(path, KEY);
    expect(second.find("a")).toBe('pässword "with" everything\n');
    expect(second.find("b")).toBe("");
    expect(second.find("c")).toBeUndefined();
  });

  test("shows nothing of the value and is private", async () => {
    const secrets = await Secrets.open(path, KEY);
    await secrets.put("a", "a-very-secret-password");
    const text = await readFile(path, "utf8");
    expect(text).not.toContain("a-very-secret-password");
    expect(text).not.toContain(Buffer.from("a-very-secret-password").toString("base64").slice(0, 20));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("seals the same value differently every time", async () => {
    const secrets = await Secrets.open(path, KEY);
    await secrets.put("a", "same");
    const first = (await readStored()).slots.a;
    await secrets.put("a", "same");
    expect((await readStored()).slots.a).not.toBe(first);
  });
});

describe("a file that can't be trusted is an error and stays as it is", () => {
  beforeEach(async () => {
    const secrets = await Secrets.open(path, KEY);
    await secrets.put("a", "value a");
    await secrets.put("b", "value b");
  });

  async function expectRefused(text: string, key = KEY): Promise<void> {
    await writeFile(path, text);
    await expect(Secrets.open(path, key)).rejects.toMatchObject({ code: "secrets.unreadable" });
    expect(await readFile(path, "utf8")).toBe(text);
  }

  test("when the key is another", async () => {
    await expectRefused(await readFile(path, "utf8"), Buffer.alloc(32, 2));
  });

  test("when values changed places", async () => {
    const { version, slots } = await readStored();
    await expectRefused(JSON.stringify({ version, slots: { a: slots.b, b: slots.a } }));
  });

  test("when a single bit of it changed", async () => {
    const { version, slots } = await readStored();
    const bytes = Buffer.from(slots.a ?? "", "base64");
    for (const at of [0, 12, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await expectRefused(JSON.stringify({ version, slots: { ...slots, a: changed.toString("base64") } }));
    }
  });

  test("when a newer agent wrote it, and the sentence says so", async () => {
    await writeFile(path, JSON.stringify({ version: 2, anything: true }));
    await expect(Secrets.open(path, KEY)).rejects.toThrow(/newer agent/);
  });

  test("whatever bytes it holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), (text) => expectRefused(text)),
      { numRuns: 50 },
    );
  });

  test("and a value that can't be written is not used either", async () => {
    const secrets = await Secrets.open(path, KEY);
    await rm(dir, { recursive: true });
    await expect(secrets.put("a", "new value")).rejects.toThrow();
    expect(secrets.find("a")).toBe("value a");
  });
});
