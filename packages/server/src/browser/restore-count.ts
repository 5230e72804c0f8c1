/** How much a selection holds, folders with everything in them: asked of the host once somebody stops clicking. */
import { ask } from "./ask.ts";
import { type Counted, countUrl, type Place } from "./restore-api.ts";
import type { Item } from "./restore-selection.ts";

/** As long as a pause between two clicks. */
const clickingMs = 400;
/** How soon an index that is being made is looked at again. */
const againMs = 2000;

/** What is known of a selection; `counting` as long as somebody is at it. */
export type Count = { files: number; folders: number; bytes: number } | "counting" | null;

export interface CountParts {
  place: () => Place;
  snapshotId: () => string;
  /** Another count is known. */
  onChange: () => void;
  signal: AbortSignal;
}

export class RestoreCount {
  count: Count = null;
  private readonly parts: CountParts;
  private asked = "";
  private timer = 0;
  private asking = new AbortController();

  constructor(parts: CountParts) {
    this.parts = parts;
  }

  /** The selection, its snapshot or its reader may be another. What can't be counted is dropped without a word. */
  follow(items: readonly Item[], canRead: boolean): void {
    const { place, snapshotId } = this.parts;
    const isUnknown = items.some(({ kind }) => kind === "folder" || kind === "path");
    const isWhole = items.some(({ ref }) => ref === "/");
    const paths = items.map(({ ref }) => ref);
    const wanted =
      isUnknown && !isWhole && canRead && snapshotId() !== ""
        ? JSON.stringify([place(), snapshotId(), paths])
        : "";
    if (wanted === this.asked) return;
    this.asked = wanted;
    clearTimeout(this.timer);
    this.asking.abort();
    this.asking = new AbortController();
    this.count = wanted === "" ? null : "counting";
    if (wanted === "") return;
    this.timer = window.setTimeout(() => void this.load(paths), clickingMs);
  }

  private async load(paths: readonly string[]): Promise<void> {
    const { place, snapshotId, onChange, signal } = this.parts;
    const { signal: superseded } = this.asking;
    const { via } = place();
    const question = via === "" ? { paths } : { paths, via };
    const either = AbortSignal.any([superseded, signal]);
    const answer = await ask<Counted>(countUrl(place(), snapshotId()), either, question).catch(() => null);
    if (answer === null || either.aborted) return;
    if (answer.ok && answer.body.state === "indexing") {
      this.timer = window.setTimeout(() => void this.load(paths), againMs);
      return;
    }
    this.count = answer.ok ? toCount(answer.body) : null;
    onChange();
  }
}

function toCount({ files, folders, size_bytes }: Counted): Count {
  if (files === null || folders === null || size_bytes === null) return null;
  return { files, folders, bytes: size_bytes };
}
