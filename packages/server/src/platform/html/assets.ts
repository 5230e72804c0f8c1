/**
 * Names of built files and the addresses under which they are served. The manifest is written by
 * build-assets.ts and read by whoever composes the server; nothing is read at import time here.
 */

/** Logical name (`styles.css`) to hashed file name (`styles-4KJ2AB.css`). */
export type AssetManifest = Readonly<Record<string, string>>;

/** The folder of the URL space that serves the built files for ever (their names carry their hash). */
export const ASSET_PREFIX = "/assets/";

/**
 * The URL of a built file.
 * @throws Error when the manifest does not know the name: a page without its styles must not be sent in silence.
 */
export function assetUrl(manifest: AssetManifest, name: string): string {
  const file = manifest[name];
  if (file === undefined) throw new Error(`The asset "${name}" is not in the manifest: build the assets.`);
  return `${ASSET_PREFIX}${file}`;
}
