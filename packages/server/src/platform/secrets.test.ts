import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSecretBox, loadKey } from "./secrets.ts";

const key = Buffer.alloc(32, 7);
const box = createSecretBox(key);
const place = { row: "H1", slot: "repo_password" };
const unreadable = expect.objectContaining({ code: "secrets.unreadable" });

describe("a sealed secret", () => {
  it("opens at its place, whatever its text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (secret) => {
        const sealed = box.seal(secret, place);
        expect(sealed).toMatch(/^v1\.[\w-]{16}\.[\w-]{22,}$/);
        expect(box.open(sealed, place)).toBe(secret);
      }),
    );
  });

  it("is different each time", () => {
    expect(box.seal("same", place)).not.toBe(box.seal("same", place));
  });

  it.each([
    { row: "H2", slot: "repo_password" },
    { row: "H1", slot: "rest_password" },
    { row: 'H1","repo_password', slot: "" },
  ])("does not open at row $row, slot $slot", (other) => {
    expect(() => box.open(box.seal("secret", place), other)).toThrow(unreadable);
  });

  it("does not open with another key", () => {
    const other = createSecretBox(Buffer.alloc(32, 8));
    expect(() => other.open(box.seal("secret", place), place)).toThrow(unreadable);
  });

  it("does not open when any byte of it changed or is cut off", () => {
    const [version, nonce, body] = box.seal("secret", place).split(".");
    const flip = (text: string, index: number) => {
      const bytes = Buffer.from(text, "base64url");
      bytes[index] = (bytes[index] ?? 0) ^ 1;
      return bytes.toString("base64url");
    };
    const size = Buffer.from(body ?? "", "base64url").length;
    for (let i = 0; i < 12; i++)
      expect(() => box.open(`${version}.${flip(nonce ?? "", i)}.${body}`, place)).toThrow(unreadable);
    for (let i = 0; i < size; i++)
      expect(() => box.open(`${version}.${nonce}.${flip(body ?? "", i)}`, place)).toThrow(unreadable);
    for (let length = 0; length < size; length++) {
      const cut = Buffer.from(body ?? "", "base64url")
        .subarray(0, length)
        .toString("base64url");
      expect(() => box.open(`${version}.${nonce}.${cut}`, place)).toThrow(unreadable);
    }
  });

  it("is never opened from any other text, and the error repeats nothing of it", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `v1.AAAAAAAAAAAAAAAA.${text}`),
        ),
        (text) => {
          expect(() => box.open(text, place)).toThrow(unreadable);
        },
      ),
    );
  });
});

describe("the key file", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "rm-key-"));
    file = join(folder, "secret.key");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("is made once, readable by its owner only, and read ever after", async () => {
    const made = await loadKey(file, true);
    expect(made).toHaveLength(32);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await loadKey(file, true)).toEqual(made);
    expect(await loadKey(file, false)).toEqual(made);
  });

  it("is one key, however many make it at once, and nothing else stays in its folder", async () => {
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => loadKey(file, true)));
    for (const other of others) expect(other).toEqual(first);
    expect(readdirSync(folder)).toEqual(["secret.key"]);
  });

  it("is not replaced when it is missing but secrets exist", async () => {
    await expect(loadKey(file, false)).rejects.toMatchObject({
      code: "secrets.key_missing",
      message: expect.stringContaining("RM_SECRET_KEY_FILE"),
    });
  });

  it.each(["", "short", "A".repeat(44) + "A".repeat(44)])(
    "is refused, and kept, when it holds %j",
    async (text) => {
      writeFileSync(file, text);
      await expect(loadKey(file, true)).rejects.toMatchObject({ code: "secrets.key_invalid" });
      expect(readFileSync(file, "utf8")).toBe(text);
    },
  );

  it("is refused when it is a folder", async () => {
    await expect(loadKey(folder, true)).rejects.toMatchObject({
      code: "secrets.key_invalid",
      message: expect.stringContaining("EISDIR"),
    });
  });

  it("that can't be made says where and why", async () => {
    await expect(loadKey(join(folder, "missing", "secret.key"), true)).rejects.toMatchObject({
      code: "secrets.key_invalid",
      message: expect.stringContaining("ENOENT"),
    });
  });
});
