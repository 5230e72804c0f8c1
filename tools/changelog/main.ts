/**
 * `node tools/changelog/main.ts [--check]`: writes CHANGELOG.md from `changes/`, or with `--check` exits 1 when
 * it is not what the files say.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { buildChangelog } from "./changelog.ts";

const root = resolve(import.meta.dirname, "../..");
const file = join(root, "CHANGELOG.md");

function readChanges(): { path: string; text: string }[] {
  const folder = join(root, "changes");
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".md"),
  );
  return names.map((name) => ({
    path: name.split(sep).join("/"),
    text: readFileSync(join(folder, name), "utf8"),
  }));
}

const built = buildChangelog(readChanges());
if (!process.argv.includes("--check")) {
  writeFileSync(file, built);
} else if (!existsSync(file) || readFileSync(file, "utf8") !== built) {
  console.error("CHANGELOG.md is not what changes/ says; run: npm run changelog");
  process.exitCode = 1;
}
