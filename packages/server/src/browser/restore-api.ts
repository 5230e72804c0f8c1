/** Where the wizard asks the server, and what it answers. Names come from a host: they are only ever written as text. */

/** An entry of a folder, or a match of a search. */
export interface Entry {
  name: string;
  ref: string;
  kind: string;
  size_bytes: number | null;
  modified_at: string | null;
  target: string | null;
}

export interface Folder {
  entries: Entry[];
  more: boolean;
}

export interface Matches {
  state: "ready" | "indexing";
  waits_for_job?: boolean;
  indexed_files: number;
  problem?: { message: string } | null;
  matches: (Entry & { path: string })[];
  more: boolean;
}

export interface Versions {
  versions: {
    snapshot_id: string;
    time: string;
    kind: string;
    size_bytes: number | null;
    modified_at: string | null;
    is_same_as_newer: boolean;
  }[];
  truncated: boolean;
}

/** What a selection holds; the figures are null until the snapshot is indexed. */
export interface Counted {
  state: "ready" | "indexing";
  files: number | null;
  folders: number | null;
  size_bytes: number | null;
}

/** What a host's snapshots are asked through. */
export interface Place {
  hostId: string;
  /** Another host whose agent reads; empty for its own. */
  via: string;
}

const snapshotsOf = (place: Place): string => `/api/hosts/${encodeURIComponent(place.hostId)}/snapshots`;

export function folderUrl(place: Place, snapshotId: string, ref: string, after: string | null): string {
  return withQuery(`${snapshotsOf(place)}/${snapshotId}/tree`, { path: ref, after, via: place.via });
}

export function searchUrl(place: Place, snapshotId: string, pattern: string, after: string | null): string {
  return withQuery(`${snapshotsOf(place)}/${snapshotId}/search`, { pattern, after, via: place.via });
}

export const countUrl = (place: Place, snapshotId: string): string =>
  `${snapshotsOf(place)}/${snapshotId}/count`;

export function versionsUrl(place: Place, ref: string): string {
  return withQuery(`${snapshotsOf(place)}/versions`, { path: ref, via: place.via });
}

/** Longer than what servers and proxies take for an address. */
const maxUrlChars = 7000;

/** Links, devices and pipes have no bytes of their own; of a path that was typed nobody knows. */
const downloadable = new Set(["file", "folder", "path"]);

/** Where a selection is downloaded: a file as it is, all else as an archive; null when it can't be, or is too much for an address. */
export function downloadUrl(
  place: Place,
  snapshotId: string,
  items: readonly { ref: string; kind: string }[],
  archive: "tar" | "zip" = "tar",
): string | null {
  const [only] = items;
  const isOne = (kind: string) => items.length === 1 && only?.kind === kind;
  const query = new URLSearchParams(items.map(({ ref }) => ["path", ref]));
  if (archive === "zip" && !isOne("folder")) return null;
  if (!isOne("file")) query.set("format", archive);
  const url = `${snapshotsOf(place)}/${snapshotId}/download?${query}`;
  const isPossible = items.length > 0 && items.every(({ kind }) => downloadable.has(kind));
  return isPossible && url.length <= maxUrlChars ? url : null;
}

function withQuery(url: string, values: Record<string, string | null>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) query.set(name, value);
  return `${url}?${query}`;
}
