/** A file that whoever comes first makes. */
import { existsSync, linkSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Writes a secret file unless it is there. A hard link fails when the name exists: of two builds that start at once, both
 * have the file of the first.
 */
export function writeFirst(file: string, text: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, text, { mode: 0o600 });
  try {
    linkSync(mine, file);
  } catch (error) {
    if (!existsSync(file)) throw error;
  } finally {
    rmSync(mine);
  }
}
