/**
 * THE ONLY public file of artefacts: the programs and installers that this server hands to hosts. A set in the data folder
 * wins over the one that came with the server, as a whole: a broken one there is not mended by the other, because then
 * nobody would notice that the hosts get something else than was meant. How a set is read stands in release-set.ts.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  artefactName,
  compareVersions,
  newestVersion,
  type ReleaseProgram,
  releasePlatformOf,
  type SignedSums,
} from "@restic-manager/protocol";
import type { Logger } from "pino";
import type { Clock } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import {
  fingerprintOf,
  type ReleaseFile,
  type ReleaseSet,
  readReleaseList,
  readReleaseSet,
} from "./release-set.ts";

export type { ReleaseFile };

/** `data`: put there by the operator; `built_in`: came with the server. */
export type ReleaseSource = "data" | "built_in";

/** What is served now. */
export type Release =
  | { kind: "none"; dataFolder: string }
  | { kind: "broken"; source: ReleaseSource; folder: string; problem: string; checkedAt: number }
  | (Extract<ReleaseSet, { kind: "whole" }> & { source: ReleaseSource; folder: string; checkedAt: number });

/** As much of it as its signed list says: which versions there are. */
export type ReleaseOutline =
  | { kind: "none" | "broken" }
  | { kind: "whole"; sums: ReadonlyMap<string, string> };

export interface ShelfDeps {
  clock: Clock;
  log: Logger;
  /** `release` in the data folder. */
  dataFolder: string;
  /** Where the files lie that came with the server; undefined when none did. */
  builtInFolder: string | undefined;
}

/** Between two looks at the folders' names, sizes and times. The digests are made anew only when those differ. */
const lookMs = 5000;
/** A gigabyte to read and digest: a fleet that waited for the server goes first. Who needs a file before has it read at once. */
const firstLookAfterMs = 30_000;

/** Knows what is served. Asked at any time; reads the files once, and again when they change. */
export class ReleaseShelf {
  private readonly deps: ShelfDeps;
  private known: { release: Release; fingerprint: string } | null = null;
  private lookedAt = Number.NEGATIVE_INFINITY;
  private looking: Promise<Release> | null = null;
  /** The list alone, while the files are not known or may have changed. */
  private listed: { outline: ReleaseOutline; at: number } | null = null;
  private readonly stopping = new AbortController();

  constructor(deps: ShelfDeps) {
    this.deps = deps;
  }

  /** Reads what is there after a while, so that the log says whether it can be served. */
  start(): void {
    void this.lookLater().catch((error: unknown) => this.tellUnread(error));
  }

  async stop(): Promise<void> {
    // A look that goes on ends by itself: it holds nothing.
    this.stopping.abort();
  }

  private async lookLater(): Promise<void> {
    await this.deps.clock.sleep(firstLookAfterMs, this.stopping.signal);
    if (!this.stopping.signal.aborted) await this.current();
  }

  /** What is served now; a folder that was just changed may be seen some seconds later. */
  async current(): Promise<Release> {
    if (this.known && this.isFresh(this.lookedAt)) return this.known.release;
    this.looking ??= this.look().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  /** What its list says, for a page that must not wait until a gigabyte was read: no file of it was looked at unless all were. */
  async outline(): Promise<ReleaseOutline> {
    if (this.known && this.isFresh(this.lookedAt)) return this.known.release;
    if (this.known) void this.current().catch((error: unknown) => this.tellUnread(error));
    if (!this.listed || !this.isFresh(this.listed.at))
      this.listed = { at: this.deps.clock.now(), outline: await this.list() };
    return this.listed.outline;
  }

  private async list(): Promise<ReleaseOutline> {
    for (const { folder } of this.places()) {
      const list = await readReleaseList(folder);
      if (list.kind !== "empty") return list;
    }
    return { kind: "none" };
  }

  /** Not of a later moment either, which a clock that was set back makes of the last one. */
  private isFresh(at: number): boolean {
    return Math.abs(this.deps.clock.now() - at) < lookMs;
  }

  private async look(): Promise<Release> {
    const prints = await Promise.all(this.places().map(({ folder }) => fingerprintOf(folder)));
    const fingerprint = prints.join("\n\n");
    if (this.known?.fingerprint !== fingerprint) {
      const before = this.known?.release;
      this.known = { release: await this.read(), fingerprint };
      this.tell(this.known.release, before);
    }
    this.lookedAt = this.deps.clock.now();
    return this.known.release;
  }

  private async read(): Promise<Release> {
    for (const place of this.places()) {
      const set = await readReleaseSet(place.folder);
      if (set.kind !== "empty") return { ...place, ...set, checkedAt: this.deps.clock.now() };
    }
    return { kind: "none", dataFolder: this.deps.dataFolder };
  }

  /** The first that is not empty wins. */
  private places(): { source: ReleaseSource; folder: string }[] {
    const { dataFolder, builtInFolder } = this.deps;
    const builtIn =
      builtInFolder === undefined ? [] : [{ source: "built_in" as const, folder: builtInFolder }];
    return [{ source: "data", folder: dataFolder }, ...builtIn];
  }

  private tellUnread(error: unknown): void {
    this.deps.log.error({ err: error }, "the files for hosts could not be read");
  }

  private tell(release: Release, before: Release | undefined): void {
    const { log } = this.deps;
    if (release.kind === "broken")
      log.error({ folder: release.folder, problem: release.problem }, "the files for hosts are not served");
    else if (release.kind === "whole")
      log.info({ folder: release.folder, files: release.files.size }, "the files for hosts are served");
    else if (before) log.warn("there are no files for hosts any more");
  }
}

/** The set, when it may be served. @throws AppError `artefacts.broken`, `artefacts.none` */
export function requireWhole(release: Release): Extract<Release, { kind: "whole" }> {
  if (release.kind === "whole") return release;
  if (release.kind === "broken") {
    const message =
      "The server's files for hosts are damaged or incomplete, so none of them is served. An administrator sees why under Settings → Agents.";
    throw new AppError("unavailable", "artefacts.broken", message);
  }
  const message =
    "This server has no files for hosts. An administrator puts a release into the folder that Settings → Agents names.";
  throw new AppError("not_found", "artefacts.none", message);
}

/** The file of that name. @throws AppError `artefacts.not_found`, and as requireWhole */
export function findByName(release: Release, name: string): ReleaseFile {
  const file = requireWhole(release).files.get(name);
  if (file) return file;
  throw new AppError("not_found", "artefacts.not_found", "This server has no such file for hosts.");
}

/** The text of a small file of the release, such as an installer; null when there is none, whatever the reason. */
export async function readText(shelf: ReleaseShelf, name: string): Promise<string | null> {
  const release = await shelf.current();
  const file = release.kind === "whole" ? release.files.get(name) : undefined;
  return file ? readFile(file.path, "utf8") : null;
}

/** A system, as Node or as a release spells it. */
export interface System {
  os: string;
  arch: string;
}

const platformOf = ({ os, arch }: System) => releasePlatformOf(os === "windows" ? "win32" : os, arch);

/** Of each release, what was looked up in its list: a fleet asks the same of it for every host. */
const newestVersions = new WeakMap<ReleaseOutline, Map<string, string | undefined>>();

/** The newest version of a program that is served for a system; undefined when there is none, whatever the reason. */
export function servedVersion(
  release: ReleaseOutline,
  program: ReleaseProgram,
  system: System,
): string | undefined {
  const platform = platformOf(system);
  if (release.kind !== "whole" || !platform) return undefined;
  const known = newestVersions.get(release) ?? new Map<string, string | undefined>();
  newestVersions.set(release, known);
  const key = `${program} ${platform.os} ${platform.arch}`;
  if (!known.has(key)) known.set(key, newestVersion(release.sums, program, platform));
  return known.get(key);
}

/** The newest version of a program, for whatever system; undefined when there is none, whatever the reason. */
export function newestOf(release: Release, program: ReleaseProgram): string | undefined {
  if (release.kind !== "whole") return undefined;
  const versions = [...release.files.values()].flatMap(({ artefact }) =>
    artefact?.program === program ? [artefact.version] : [],
  );
  return versions.sort((a, b) => compareVersions(b, a) ?? 0)[0];
}

/** The newest version of a program. @throws AppError `artefacts.not_found`, and as requireWhole */
export function newestServed(release: Release, program: ReleaseProgram): string {
  const newest = newestOf(requireWhole(release), program);
  if (newest !== undefined) return newest;
  throw new AppError("not_found", "artefacts.not_found", `This server has no ${program} for hosts.`);
}

/** The newest of a program for a system. @throws AppError `artefacts.not_found`, and as requireWhole */
export function findNewest(release: Release, program: ReleaseProgram, system: System): ReleaseFile {
  const { files } = requireWhole(release);
  const version = servedVersion(release, program, system);
  const platform = platformOf(system);
  const file =
    version !== undefined && platform && files.get(artefactName({ program, version, ...platform }));
  if (file) return file;
  const offered = [...files.values()].flatMap(({ artefact }) =>
    artefact?.program === program ? [`${artefact.os}/${artefact.arch}`] : [],
  );
  const message = `This server has no ${program} for ${system.os}/${system.arch}; it has ${offered.length === 0 ? "none at all" : `it for ${offered.join(", ")}`}.`;
  throw new AppError("not_found", "artefacts.not_found", message);
}

/** The list and its signature, for an agent that shall update. @throws AppError as requireWhole */
export const signedSums = (release: Release): SignedSums => requireWhole(release).signed;

/** How a version stands to the one that is served. */
export type Drift = "current" | "behind" | "ahead" | "unknown";

/** `unknown` when one of them is not known or is no version: a build from source is never called behind. */
export function driftOf(version: string | null, served: string | undefined): Drift {
  const step = version === null || served === undefined ? undefined : compareVersions(version, served);
  if (step === undefined) return "unknown";
  return step === 0 ? "current" : step < 0 ? "behind" : "ahead";
}

/** Folder of the apt repository that comes with a set. */
export const aptFolder = (release: Extract<Release, { kind: "whole" }>): string =>
  join(release.folder, "apt");
