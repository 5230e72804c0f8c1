/**
 * package.json, .npmrc and the lock file: exact versions, few runtime dependencies, no registry's host name.
 */
import type { Violation } from "../check.ts";
import { packageRules, packageScope } from "../house.ts";
import { placeOf } from "../place.ts";
import type { TreeFile } from "../tree.ts";

const exactVersion = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

/** Checks one file when it is a manifest, a lock file or npm's configuration. */
export function manifestRules(file: TreeFile): Violation[] {
  const name = file.path.split("/").at(-1);
  if (file.path.includes("/fixtures/")) return [];
  if (name === "package.json") return versionRules(file);
  if (name === "package-lock.json") {
    return linesWith(file, /"resolved":\s*"https?:/, "lockfile-registry", "the lock file names a host");
  }
  if (name === ".npmrc")
    return linesWith(file, /registry\s*=/, "lockfile-registry", "npm's registry is fixed");
  return [];
}

/** Compares what the lock file says about each of our manifests with the manifest itself. */
export function lockRules(files: readonly TreeFile[]): Violation[] {
  const lock = files.find((file) => file.path === "package-lock.json");
  if (lock === undefined) return [];
  const locked = field(JSON.parse(lock.text), "packages");
  return files
    .filter((file) => /^(packages\/[^/]+\/)?package\.json$/.test(file.path))
    .filter((file) => {
      const entry = field(locked, file.path.replace(/\/?package\.json$/, ""));
      return versionText(entry) !== versionText(JSON.parse(file.text));
    })
    .map((file) => {
      const message = `does not match ${file.path}; run npm install`;
      return { path: lock.path, line: 1, rule: "lockfile-stale", message };
    });
}

/** Every dependency with its version as one text that can be compared. */
function versionText(manifest: unknown): string {
  const all = [...versionsOf(manifest, "dependencies"), ...versionsOf(manifest, "devDependencies")];
  return all
    .map(([name, version]) => `${name}@${version}`)
    .sort()
    .join(" ");
}

function versionRules(file: TreeFile): Violation[] {
  const manifest: unknown = JSON.parse(file.text);
  const runtime = versionsOf(manifest, "dependencies");
  const all = [...runtime, ...versionsOf(manifest, "devDependencies")];
  const found: Violation[] = all
    .filter(([, version]) => !exactVersion.test(version))
    .map(([name, version]) => ({
      path: file.path,
      line: lineOf(file.text, `"${name}"`),
      rule: "dependency-version",
      message: `${name} ${version} is not an exact version`,
    }));
  const budget = packageRules[placeOf(file.path)?.packageName ?? ""]?.dependencyBudget;
  const count = runtime.filter(([name]) => !name.startsWith(packageScope)).length;
  if (budget !== undefined && count > budget) {
    const message = `${count} runtime dependencies, at most ${budget}`;
    found.push({
      path: file.path,
      line: lineOf(file.text, '"dependencies"'),
      rule: "dependency-budget",
      message,
    });
  }
  return found;
}

function versionsOf(manifest: unknown, kind: "dependencies" | "devDependencies"): [string, string][] {
  const versions = field(manifest, kind);
  return typeof versions === "object" && versions !== null
    ? Object.entries(versions).map(([name, version]) => [name, String(version)])
    : [];
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function lineOf(text: string, part: string): number {
  return text.slice(0, Math.max(0, text.indexOf(part))).split("\n").length;
}

function linesWith(file: TreeFile, pattern: RegExp, rule: string, message: string): Violation[] {
  return file.text
    .split("\n")
    .flatMap((line, index) =>
      pattern.test(line) ? [{ path: file.path, line: index + 1, rule, message }] : [],
    );
}
