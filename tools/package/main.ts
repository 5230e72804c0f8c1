/** `make package`: builds a release into build/package and says what is in it. Exit 1 with a sentence when it can't. */
import { resolve } from "node:path";
import { makeRelease } from "./make-release.ts";
import { openSigningKey } from "./signing.ts";

const root = resolve(import.meta.dirname, "../..");
const say = (line: string): void => console.log(line);

async function main(): Promise<void> {
  const key = openSigningKey(root, process.env);
  if (key.isOfCheckout) {
    say(
      `Signed with the key of this checkout, ${key.file}: only agents that were built here take updates from it.`,
    );
    say("For a release of your own name its key in RM_SIGNING_KEY_FILE (docs/packaging.md).");
  }
  const { folder, sizes } = await makeRelease({ root, environment: process.env, key, say });
  const width = Math.max(...[...sizes.keys()].map((name) => name.length));
  for (const [name, size] of sizes)
    say(`${name.padEnd(width)} ${(size / 1_000_000).toFixed(1).padStart(6)} MB`);
  say(`${sizes.size} files in ${folder}, with SHA256SUMS and its signature.`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
