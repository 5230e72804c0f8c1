/** Serves the built style sheet, fonts and browser modules: names carry their hash, so they may be kept for ever. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { ASSET_PREFIX, type AssetManifest } from "../html/assets.ts";
import type { App } from "./route.ts";

/** @throws AppError `assets.missing` when they were not built */
export async function readManifest(folder: string): Promise<AssetManifest> {
  try {
    const text = await readFile(join(folder, "manifest.json"), "utf8");
    return z.record(z.string(), z.string()).parse(JSON.parse(text));
  } catch (cause) {
    throw new AppError(
      "internal",
      "assets.missing",
      `The pages' files in ${folder} are missing. Build them: make build.`,
      { cause },
    );
  }
}

export async function addAssetRoutes(app: App, folder: string): Promise<void> {
  await app.register(async (scope) => {
    scope.addHook("onRoute", (route) => {
      route.config = { ...route.config, policy: "anonymous" };
    });
    await scope.register(fastifyStatic, {
      root: folder,
      prefix: ASSET_PREFIX,
      immutable: true,
      maxAge: "365d",
      index: false,
    });
  });
}
