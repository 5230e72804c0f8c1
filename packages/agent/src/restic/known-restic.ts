/**
 * The restic that was found last, so that a job does not start one only to hear its version. Invariant: a file that
 * was replaced, changed or removed since is asked anew; `search` looks afresh, for every new connection.
 */
import { stat } from "node:fs/promises";
import type { BinaryOutcome } from "./binary.ts";

type Found = Extract<BinaryOutcome, { kind: "ok" }>;

export class KnownRestic {
  readonly #findRestic: () => Promise<BinaryOutcome>;
  #known: { found: Found; file: string } | undefined;

  constructor(findRestic: () => Promise<BinaryOutcome>) {
    this.#findRestic = findRestic;
  }

  /** What was found last, while its file is the same; else what is found now. */
  async find(): Promise<BinaryOutcome> {
    const known = this.#known;
    if (known !== undefined && (await identifyFile(known.found.path)) === known.file) return known.found;
    return this.search();
  }

  async search(): Promise<BinaryOutcome> {
    const found = await this.#findRestic();
    const file = found.kind === "ok" ? await identifyFile(found.path) : undefined;
    this.#known = found.kind === "ok" && file !== undefined ? { found, file } : undefined;
    return found;
  }
}

/** A program that is replaced is another file, or has another time; undefined when there is none. */
async function identifyFile(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
    return [dev, ino, size, mtimeMs, ctimeMs].join(" ");
  } catch {
    return undefined;
  }
}
