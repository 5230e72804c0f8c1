/**
 * A random sample of a snapshot's files, drawn while they pass: each gets a number from the seed and its path, and those
 * with the smallest are kept. So the same seed draws the same files, memory is bounded, and the order does not matter.
 */
import { createHash } from "node:crypto";
import { canBeLine } from "../restic/patterns.ts";
import type { ListedNode } from "../restic/tree-output.ts";

/** A file as the snapshot has it. */
export type Drawn = {
  path: string;
  sizeBytes: number;
  /** Unix permission bits with setuid, setgid and sticky. */
  mode: number;
  /** Null for a time that no clock shows. */
  modifiedAtMs: number | null;
};

type Bounds = { seed: number; maxFiles: number; maxBytes: number };

export class DrillSample {
  readonly #bounds: Bounds;
  /** By their numbers, ascending. */
  readonly #kept: { rank: number; node: Drawn }[] = [];
  #leftOut = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Files that could not be drawn: larger than the whole sample may be, or with a name that can't be addressed. */
  get leftOut(): number {
    return this.#leftOut;
  }

  offer({ path, node: { sizeBytes, mode, modifiedAtMs } }: ListedNode): void {
    // Only files have a size.
    if (sizeBytes === null) return;
    if (sizeBytes > this.#bounds.maxBytes || !canBeLine(path)) {
      this.#leftOut += 1;
      return;
    }
    const rank = rankOf(this.#bounds.seed, path);
    const last = this.#kept.at(-1);
    if (last !== undefined && this.#kept.length === this.#bounds.maxFiles && rank >= last.rank) return;
    // restic leaves out a mode of zero.
    const node = { path, sizeBytes, mode: mode ?? 0, modifiedAtMs };
    this.#kept.splice(this.#placeOf(rank), 0, { rank, node });
    if (this.#kept.length > this.#bounds.maxFiles) this.#kept.pop();
  }

  /** The sample: in the order of their numbers, as many as fit. */
  draw(): Drawn[] {
    let bytes = 0;
    return this.#kept.flatMap(({ node }) => {
      if (bytes + node.sizeBytes > this.#bounds.maxBytes) return [];
      bytes += node.sizeBytes;
      return [node];
    });
  }

  /** Where a rank belongs, by halving. */
  #placeOf(rank: number): number {
    let from = 0;
    let to = this.#kept.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#kept[middle]?.rank ?? 0) < rank) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** 48 bits are enough that two files rarely share a number. */
function rankOf(seed: number, path: string): number {
  return createHash("sha256").update(`${seed}:${path}`).digest().readUIntBE(0, 6);
}
