/**
 * Serves the built style sheet, fonts and browser modules from memory: they are few and small, and names carry their
 * hash, so browsers may keep them for ever. They lie in a folder, or inside the program when it is one executable.
 */
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { getAsset, getAssetKeys } from "node:sea";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { ASSET_PREFIX, type AssetManifest } from "../html/assets.ts";
import { type App, pageRoute } from "./route.ts";

export interface Assets {
  manifest: AssetManifest;
  files: ReadonlyMap<string, Buffer>;
}

const mediaTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/**
 * The files of a folder, or without one those inside this executable.
 * @throws AppError `assets.missing` when they were not built
 */
export async function readAssets(folder?: string): Promise<Assets> {
  try {
    const files = folder === undefined ? readOwn() : await readFolder(folder);
    const manifest = JSON.parse(files.get("manifest.json")?.toString("utf8") ?? "");
    return { files, manifest: z.record(z.string(), z.string()).parse(manifest) };
  } catch (cause) {
    const where = folder === undefined ? "this program" : folder;
    const message = `The pages' files in ${where} are missing. Build them: make build.`;
    throw new AppError("internal", "assets.missing", message, { cause });
  }
}

function readOwn(): Map<string, Buffer> {
  return new Map(getAssetKeys().map((name) => [name, Buffer.from(getAsset(name))]));
}

async function readFolder(folder: string): Promise<Map<string, Buffer>> {
  const names = await readdir(folder);
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  );
}

export function addAssetRoutes(app: App, { files }: Assets): void {
  pageRoute(app, {
    method: "GET",
    url: `${ASSET_PREFIX}:name`,
    policy: "anonymous",
    schema: { params: z.object({ name: z.string().max(128) }) },
    answer: ({ params: { name }, reply }) => {
      const file = files.get(name);
      if (file === undefined)
        throw new AppError("not_found", "request.not_found", "There is nothing at this address.");
      void reply.type(mediaTypes[extname(name)] ?? "application/octet-stream");
      void reply.header("cache-control", "public, max-age=31536000, immutable");
      return file;
    },
  });
}
