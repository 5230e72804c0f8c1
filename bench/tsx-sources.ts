/**
 * Lets a benchmark import the server's sources inside its own program, where it can move the clock: Node strips types
 * from `.ts` by itself, but not from the `.tsx` that some slices draw their pages with. Import this file first, and the
 * sources with `await import()` after it.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith("file:") || !url.endsWith(".tsx")) return nextLoad(url, context);
    const { code } = transformSync(readFileSync(fileURLToPath(url), "utf8"), {
      loader: "tsx",
      format: "esm",
      jsx: "automatic",
      jsxImportSource: "preact",
    });
    return { format: "module", source: code, shortCircuit: true };
  },
});
