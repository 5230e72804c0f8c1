/**
 * Builds what browsers load: one style sheet with its fonts, the browser modules, the icon; every file named
 * after its content, with manifest.json saying which name became which. Run by
 * `node packages/server/build-assets.ts`; writes packages/server/dist/assets, and beside it the list of the source
 * files that went in, for the licences of a release; nothing else.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type OutputFile } from "esbuild";

const root = fileURLToPath(new URL(".", import.meta.url));
const outDir = join(root, "dist", "assets");

/** Browsers of the last two years: they know light-dark(), nesting and content-visibility. */
const TARGETS = ["chrome123", "firefox121", "safari17.5"];

/** Logical names of the entry points. */
const ENTRIES: Readonly<Record<string, string>> = {
  "app.js": join(root, "src/browser/app.ts"),
  "access-test.js": join(root, "src/browser/access-test.ts"),
  "job.js": join(root, "src/browser/job.ts"),
  "group-form.js": join(root, "src/browser/group-form.ts"),
  "retention-preview.js": join(root, "src/browser/retention-preview.ts"),
  "restore.js": join(root, "src/browser/restore.ts"),
  "schedule-form.js": join(root, "src/browser/schedule-form.ts"),
  "styles.css": join(root, "src/platform/html/styles/styles.css"),
};

/** Fonts by the name under which pages ask for them (preload). */
const FONTS: Readonly<Record<string, string>> = {
  "inter-latin-wght-normal": "inter.woff2",
  "jetbrains-mono-latin-wght-normal": "jetbrains-mono.woff2",
};

/** Source files of everything built, from the project's root. */
const inputs = new Set<string>();

async function buildAssets(): Promise<Record<string, string>> {
  const manifest: Record<string, string> = {};
  for (const [name, entry] of Object.entries(ENTRIES)) {
    for (const file of await bundle(entry)) manifest[logicalName(file, name)] = await writeHashed(file);
  }
  const icon = await readFile(join(root, "src/platform/html/styles/favicon.svg"));
  manifest["favicon.svg"] = await writeNamed("favicon", ".svg", icon);
  return manifest;
}

async function bundle(entry: string): Promise<OutputFile[]> {
  const result = await build({
    entryPoints: [entry],
    outdir: outDir,
    bundle: true,
    minify: true,
    format: "esm",
    target: TARGETS,
    assetNames: "[name]-[hash]",
    loader: { ".woff2": "file" },
    write: false,
    metafile: true,
    absWorkingDir: join(root, "../.."),
    logLevel: "warning",
  });
  for (const path of Object.keys(result.metafile.inputs)) inputs.add(path);
  return result.outputFiles;
}

/** Fonts are already hashed by esbuild (the style sheet names them); entries get their hash here. */
function logicalName(file: OutputFile, entryName: string): string {
  if (extname(file.path) !== ".woff2") return entryName;
  const source = basename(file.path).replace(/-[A-Z0-9]+\.woff2$/, "");
  return FONTS[source] ?? basename(file.path);
}

async function writeHashed(file: OutputFile): Promise<string> {
  const extension = extname(file.path);
  if (extension !== ".woff2")
    return await writeNamed(basename(file.path, extension), extension, file.contents);
  await writeFile(join(outDir, basename(file.path)), file.contents);
  return basename(file.path);
}

async function writeNamed(stem: string, extension: string, contents: Uint8Array): Promise<string> {
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 10);
  const name = `${stem}-${hash}${extension}`;
  await writeFile(join(outDir, name), contents);
  return name;
}

await rm(outDir, { recursive: true, force: true });
await mkdir(outDir, { recursive: true });
const manifest = await buildAssets();
await writeFile(join(outDir, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await writeFile(join(root, "dist", "assets-inputs.json"), `${JSON.stringify([...inputs].sort(), null, 2)}\n`);
