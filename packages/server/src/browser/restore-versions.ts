/** The versions of one file: every snapshot in which it differs, each to be downloaded or to be restored from. */
import { formatBytes, formatUtc } from "../platform/html/format.ts";
import { ask } from "./ask.ts";
import { element, textButton, visible } from "./elements.ts";
import { downloadUrl, type Place, type Versions, versionsUrl } from "./restore-api.ts";
import type { Item } from "./restore-selection.ts";

export interface VersionsParts {
  dialog: HTMLDialogElement;
  place: () => Place;
  downloads: boolean;
  /** Chooses this file out of that snapshot. */
  choose: (snapshotId: string, item: Item) => void;
  signal: AbortSignal;
}

export class RestoreVersions {
  private readonly parts: VersionsParts;
  private asking = new AbortController();

  constructor(parts: VersionsParts) {
    this.parts = parts;
    const { dialog, signal } = parts;
    this.part("[data-versions-close]").addEventListener("click", () => dialog.close(), { signal });
    dialog.addEventListener("close", () => this.asking.abort(), { signal });
  }

  async show(item: Item): Promise<void> {
    const { dialog, place } = this.parts;
    const [word, list] = [this.part("[data-versions-word]"), this.part("[data-versions-list]")];
    this.part("[data-versions-path]").textContent = visible(item.path);
    word.textContent = "Looking through the host’s snapshots…";
    list.replaceChildren();
    if (!dialog.open) dialog.showModal();
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const url = versionsUrl(place(), item.ref);
    const answer = await ask<Versions>(url, AbortSignal.any([signal, this.parts.signal])).catch(() => null);
    if (answer === null || signal.aborted) return;
    if (!answer.ok) {
      word.textContent = answer.words;
      return;
    }
    const differing = differingVersions(answer.body.versions);
    word.textContent = versionsWords(differing.length, answer.body);
    list.append(...differing.map((version) => this.row(item, version)));
  }

  private row(item: Item, version: Differing): HTMLElement {
    const { downloads, place, dialog, choose } = this.parts;
    const line = element("li", "version");
    const when = element("span", "version-when", formatUtc(Date.parse(version.time)));
    const same = version.count > 1 ? `the same in ${version.count} snapshots` : "";
    const facts = element("span", "version-facts");
    const size = version.size_bytes === null ? version.kind : formatBytes(version.size_bytes);
    facts.textContent = [size, same].filter(Boolean).join(" · ");
    const verbs = element("span", "version-verbs");
    const of = { ...item, kind: version.kind, sizeBytes: version.size_bytes };
    const url = downloads ? downloadUrl(place(), version.snapshot_id, [of]) : null;
    if (url !== null && version.kind === "file")
      verbs.append(downloadLink(url, `Download the version of ${when.textContent}`));
    verbs.append(
      textButton("btn small", "Restore this one", () => {
        dialog.close();
        choose(version.snapshot_id, of);
      }),
    );
    line.append(when, facts, verbs);
    return line;
  }

  private part(selector: string): HTMLElement {
    const found = this.parts.dialog.querySelector<HTMLElement>(selector);
    if (found === null) throw new Error(`The dialog has no ${selector}.`);
    return found;
  }
}

export function downloadLink(url: string, label: string): HTMLAnchorElement {
  const link = document.createElement("a");
  link.className = "btn small";
  link.href = url;
  link.download = "";
  link.textContent = "Download";
  link.setAttribute("aria-label", label);
  return link;
}

type Version = Versions["versions"][number];
/** A version with the number of snapshots that have it. */
export type Differing = Version & { count: number };

/** Newest first; neighbours that are the same are one, told by the newest of them. */
export function differingVersions(versions: readonly Version[]): Differing[] {
  const differing: Differing[] = [];
  for (const version of versions) {
    const newer = differing.at(-1);
    if (version.is_same_as_newer && newer) newer.count += 1;
    else differing.push({ ...version, count: 1 });
  }
  return differing;
}

export function versionsWords(count: number, { versions, truncated }: Versions): string {
  if (count === 0) return "No snapshot of this host that was looked into has it.";
  const found = `${count === 1 ? "One version" : `${count} versions`} in ${versions.length === 1 ? "one snapshot" : `${versions.length} snapshots`}`;
  return truncated ? `${found}; older ones were not looked into.` : `${found}.`;
}
