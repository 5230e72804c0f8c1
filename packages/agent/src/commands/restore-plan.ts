/**
 * Which runs of restic make a restore, and where everything ends up. Pure. Invariants: in place no folder above a selection
 * is touched when it is there (restic sets the modes, times and owners of every folder that it walks through, so a run
 * begins at the deepest folder that this host has); a name is restored as it is spelled, whatever glob it looks like.
 */
import type { RestoreSpec } from "@restic-manager/protocol";
import {
  isWithin,
  joinRaw,
  nameOf,
  parentOf,
  type RawPath,
  rawOfSnapshotPath,
  shownRaw,
  toRaw,
  toText,
} from "../restic/raw-path.ts";
import type { Selected } from "./restore-selection.ts";

/** One run of restic. */
export type RestoreRun = {
  /** A folder of the snapshot. */
  folder: string;
  /** The folder of this host that its content goes to. */
  target: string;
  /** What is restored of it, from that folder on; none means all. */
  names: RawPath[];
  /** The patterns of the user choose below it. */
  byPattern: boolean;
};

/** Where one selection ends up. */
export type Destination = Selected & { /** On this host, as bytes. */ to: RawPath; byPattern: boolean };

export type RestorePlan = { runs: RestoreRun[]; destinations: Destination[] };

export type PlanInput = {
  spec: Pick<RestoreSpec, "includes" | "excludes" | "path_map">;
  selected: readonly Selected[];
  /** The folder that everything goes to; null in place. */
  root: string | null;
  platform: NodeJS.Platform;
  /** Whether this host has a folder there, links followed. */
  isFolder: (path: string) => Promise<boolean>;
};

/** A selection that no run of restic brings to where it shall go: a sentence. */
export type PlanProblem = { problem: string };

export async function planRestore(input: PlanInput): Promise<RestorePlan | PlanProblem> {
  const plan: RestorePlan = { runs: [], destinations: [] };
  for (const selected of outermost(input)) {
    const placed = await place(input, selected);
    if ("problem" in placed) return placed;
    add(plan.runs, placed.run);
    plan.destinations.push({ ...selected, to: placed.to, byPattern: placed.run.byPattern });
  }
  return plan;
}

/** Without what lies in another selected folder and goes the same way. */
function outermost({ selected, spec, platform }: PlanInput): Selected[] {
  const mapped = { spec, platform };
  return selected.filter(
    ({ path }, index) =>
      !selected.some(
        (other, place) =>
          (other.path === path ? place < index : isWithin(path, other.path)) &&
          findMapping(mapped, path)?.from === findMapping(mapped, other.path)?.from,
      ),
  );
}

type Mapping = { from: RawPath; to: RawPath };
type Mapped = Pick<PlanInput, "spec" | "platform">;

/** The longest `from` that a path lies in decides. */
function findMapping({ spec, platform }: Mapped, path: RawPath): Mapping | undefined {
  // Windows takes both slashes; ours is the one that the rest counts with.
  const onHost = (to: string) => trimmed(toRaw(platform === "win32" ? to.replaceAll("\\", "/") : to));
  return spec.path_map
    .map(({ from, to }) => ({ from: rawOfSnapshotPath(from), to: onHost(to) }))
    .filter(({ from }) => isWithin(path, from))
    .sort((a, b) => b.from.length - a.from.length)[0];
}

const trimmed = (path: RawPath): RawPath => (path.length > 1 ? path.replace(/\/+$/, "") || "/" : path);

type Placed = { run: RestoreRun; to: RawPath };

async function place(input: PlanInput, selected: Selected): Promise<Placed | PlanProblem> {
  const { path } = selected;
  const mapping = findMapping(input, path);
  const wanted = mapping === undefined ? path : joinRaw(mapping.to, below(path, mapping.from));
  const to = onHost(input, wanted, mapping !== undefined);
  if (to === undefined) {
    const problem = `${shown(path)} can't be restored in place on Windows: select something on a drive, such as /C/Users.`;
    return { problem };
  }
  const byPattern = hasPatterns(input.spec) && selected.kind === "folder";
  if (byPattern || path === "/") return whole(path, to, byPattern);
  if (mapping === undefined) {
    if (input.root !== null) return one("/", toRaw(input.root), path, to);
    return anchored(input, path, to);
  }
  if (nameOf(path) === nameOf(to)) return one(parentOf(path), parentOf(to), `/${nameOf(path)}`, to);
  if (selected.kind === "folder") return whole(path, to, false);
  const problem = `${shown(path)} can't be restored under another name: map the folder that it lies in.`;
  return { problem };
}

const hasPatterns = ({ includes, excludes }: PlanInput["spec"]): boolean =>
  includes.length > 0 || excludes.length > 0;

/** What stands in a path below a folder, with its slash. */
function below(path: RawPath, folder: RawPath): RawPath {
  return folder === "/" ? path : path.slice(folder.length);
}

/** Where a path of the snapshot, or of the map, is on this host; undefined when it is no place there. */
function onHost({ root, platform }: PlanInput, path: RawPath, isMapped: boolean): RawPath | undefined {
  if (root !== null) return joinRaw(toRaw(root), path);
  if (platform !== "win32" || isMapped) return path;
  const drive = /^\/([A-Za-z])(?=\/|$)(.*)$/s.exec(path);
  return drive === null ? undefined : `${drive[1]}:${drive[2] || "/"}`;
}

/** Everything below a folder: its own mode and times are those that restic gives a new one. */
function whole(path: RawPath, to: RawPath, byPattern: boolean): Placed | PlanProblem {
  return one(path, to, null, to, byPattern);
}

/** From the deepest folder above a selection that this host has: what is above stays untouched. */
async function anchored(input: PlanInput, path: RawPath, to: RawPath): Promise<Placed | PlanProblem> {
  const top = input.platform === "win32" ? path.slice(0, 2) : "/";
  if (path === top) return whole(path, to, false);
  let folder = parentOf(path);
  while (folder !== top && !(await isThere(input, folder))) folder = parentOf(folder);
  return one(folder, onHost(input, folder, false) ?? folder, below(path, folder), to);
}

/** Only what an argument can name is of use. */
async function isThere(input: PlanInput, folder: RawPath): Promise<boolean> {
  const place = toText(onHost(input, folder, false) ?? folder);
  return place !== undefined && toText(folder) !== undefined && (await input.isFolder(place));
}

function one(
  top: RawPath,
  target: RawPath,
  name: RawPath | null,
  to: RawPath,
  byPattern = false,
): Placed | PlanProblem {
  const [folder, place] = [toText(top), toText(target)];
  if (folder === undefined || place === undefined) {
    const problem = `${shown(top)} has a name that is not UTF-8, which restic takes as part of a pattern only: restore the folder above it, without patterns and without a path map.`;
    return { problem };
  }
  if (name?.includes("\n") === true && toText(name) === undefined) {
    const problem = `${shown(name)} has a line break and bytes that are not UTF-8 in its name, which restic takes in no way: restore the folder that it lies in.`;
    return { problem };
  }
  return { run: { folder, target: place, names: name === null ? [] : [name], byPattern }, to };
}

function shown(path: RawPath): string {
  return JSON.stringify(shownRaw(path).slice(0, 200));
}

/** Selections with the same folder and target are one run. */
function add(runs: RestoreRun[], run: RestoreRun): void {
  const same = runs.find(
    ({ folder, target, names }) => folder === run.folder && target === run.target && names.length > 0,
  );
  if (same !== undefined && run.names.length > 0) same.names.push(...run.names);
  else runs.push(run);
}
