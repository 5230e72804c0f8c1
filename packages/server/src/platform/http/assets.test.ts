/** The pages' files as a browser gets them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTestApp } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BuiltApp } from "./app.ts";
import { addAssetRoutes, readAssets } from "./assets.ts";

let folder: string;
let built: BuiltApp;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rm-assets-"));
  await writeFile(join(folder, "styles-1a.css"), "body{}");
  await writeFile(join(folder, "inter-2b.woff2"), Buffer.from([0, 255, 10]));
  await writeFile(join(folder, "manifest.json"), '{"styles.css":"styles-1a.css"}');
  built = await buildTestApp({ identify: async () => null });
  addAssetRoutes(built.app, await readAssets(folder));
});
afterEach(async () => {
  await built.app.close();
  await rm(folder, { recursive: true });
});

const getAsset = (name: string) => built.app.inject({ url: `/assets/${name}` });

describe("a built file", () => {
  it("has its type, and may be kept for ever", async () => {
    const styles = await getAsset("styles-1a.css");
    expect([styles.statusCode, styles.body]).toEqual([200, "body{}"]);
    expect(styles.headers).toMatchObject({
      "content-type": "text/css; charset=utf-8",
      "cache-control": "public, max-age=31536000, immutable",
    });
    const font = await getAsset("inter-2b.woff2");
    expect(font.headers["content-type"]).toBe("font/woff2");
    expect([...font.rawPayload]).toEqual([0, 255, 10]);
  });

  it.each(["styles.css", "..%2fmanifest.json", "..%2f..%2fpackage.json", "%00"])(
    "is known by its name alone: not %s",
    async (name) => expect((await getAsset(name)).statusCode).toBe(404),
  );

  it("that was not built is said with what to do", async () => {
    const missing = { code: "assets.missing", message: expect.stringContaining("make build") };
    await expect(readAssets(join(folder, "none"))).rejects.toMatchObject(missing);
    await writeFile(join(folder, "manifest.json"), "[");
    await expect(readAssets(folder)).rejects.toMatchObject(missing);
    // This program is no executable.
    await expect(readAssets()).rejects.toMatchObject(missing);
  });
});
