/**
 * One CommonJS file of a program and everything that it imports, as a single executable wants it. Invariant: the same
 * sources give the same bytes wherever they lie.
 */
import { resolve } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";

export interface BundleWishes {
  /** The root of the project. */
  readonly root: string;
  readonly entry: string;
  /** Baked in: what an agent believes about releases is what this key has signed (SPKI in PEM). */
  readonly publicKey: string;
  /** Another version than that of the sources; for tests of updates. */
  readonly version?: string | undefined;
}

export interface Bundle {
  readonly code: Uint8Array;
  readonly inputs: Metafile["inputs"];
}

/** @throws Error of esbuild when a source is wrong */
export async function bundleProgram({ root, entry, publicKey, version }: BundleWishes): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir: "out",
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    conditions: ["source"],
    // Fewer bytes to read at each start; names stay, so that a stack still says where it was.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    define: { RELEASE_PUBLIC_KEY: JSON.stringify(publicKey) },
    // pg's optional native client is not ours; it is asked for only by who sets NODE_PG_FORCE_NATIVE.
    external: ["pg-native"],
    plugins: [englishOnly, ...(version === undefined ? [] : [asVersion(version)])],
    logLevel: "silent",
    // There are no files beside an executable: nothing may look for one from where a module lies.
    logOverride: { "empty-import-meta": "error" },
  });
  const [file] = result.outputFiles;
  if (file === undefined) throw new Error(`esbuild made nothing of ${entry}`);
  return { code: file.contents, inputs: result.metafile.inputs };
}

/** zod brings its messages in fifty languages, a quarter of the agent's bytes; none but English is ever asked for. */
const englishOnly: Plugin = {
  name: "english-only",
  setup(esbuild) {
    esbuild.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, ({ path }) => ({
      contents: 'export { default as en } from "./en.js";',
      resolveDir: resolve(path, ".."),
    }));
  },
};

/** The same program under another version, as the next release would be. */
function asVersion(version: string): Plugin {
  return {
    name: "as-version",
    setup(esbuild) {
      const filter = /packages[\\/]protocol[\\/]src[\\/]version\.ts$/;
      esbuild.onLoad({ filter }, ({ path }) => ({
        contents: `export const productVersion = ${JSON.stringify(version)};`,
        loader: "ts",
        resolveDir: resolve(path, ".."),
      }));
    },
  };
}
