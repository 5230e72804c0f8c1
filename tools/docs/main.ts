/**
 * `node tools/docs/main.ts [--check]`: writes docs/reference from the source, or with `--check` exits 1 when it
 * is not what the source says. The server must be built (`tsc -b`).
 */
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { apiPage } from "./api-page.ts";
import { cliPage } from "./cli-page.ts";
import { configPage } from "./config-page.ts";
import { describeApp } from "./described-app.ts";
import { findErrorCodes } from "./error-codes.ts";
import { errorsPage } from "./errors-page.ts";
import { messagesPage } from "./messages-page.ts";
import { type Commented, listCommented, readSyntax } from "./syntax.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = join(root, "docs/reference");

/** The product's own sources, in an order that does not depend on the machine. */
function readSources(pattern: string): { path: string; text: string }[] {
  const paths = globSync(pattern, { cwd: root }).map((path) => path.split(sep).join("/"));
  const ours = paths.filter((path) => !/\.test\.tsx?$/.test(path)).sort();
  return ours.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

function commentsOf(pattern: string): Map<string, Commented> {
  return new Map(
    readSources(pattern).flatMap(({ path, text }) => [...listCommented(readSyntax(path, text))]),
  );
}

async function buildPages(): Promise<Record<string, string>> {
  const { api, routes } = await describeApp();
  const sources = readSources("packages/{protocol,server,agent,cli}/src/**/*.{ts,tsx}");
  return {
    "api.md": apiPage(api, routes),
    "cli.md": cliPage(),
    "config.md": configPage(commentsOf("packages/agent/src/config.ts").get("agentConfig")),
    "errors.md": errorsPage(sources.flatMap(({ path, text }) => findErrorCodes(path, text))),
    "messages.md": messagesPage(commentsOf("packages/protocol/src/*.ts")),
  };
}

const isCheck = process.argv.includes("--check");
if (!isCheck) mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(await buildPages())) {
  const file = join(folder, name);
  if (!isCheck) writeFileSync(file, text);
  else if (!existsSync(file) || readFileSync(file, "utf8") !== text) {
    console.error(`docs/reference/${name} is not what the source says; run: npm run docs`);
    process.exitCode = 1;
  }
}
