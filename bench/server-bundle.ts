/**
 * The server as its executable has it: one file without modules to find, which is what operators start. Run by the same
 * Node as everything else here, because making the executable takes a minute.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleProgram } from "../tools/package/bundle.ts";
import { makeFolder } from "./server-program.ts";

/** @returns the path of the program */
export async function makeServerBundle(): Promise<string> {
  const root = join(import.meta.dirname, "..");
  const entry = "packages/server/src/main.ts";
  const { code } = await bundleProgram({ root, entry, publicKey: "" });
  const folder = makeFolder();
  mkdirSync(join(folder, "src"));
  symlinkSync(join(root, "packages/server/dist/assets"), join(folder, "assets"));
  const file = join(folder, "src/main.cjs");
  writeFileSync(file, code);
  return file;
}
