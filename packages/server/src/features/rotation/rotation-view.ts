/** A rotation with everything that a page or a client asks of it at once. No secret is among it. */
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import { type Host, isOnline, listHostsOfRepository } from "../hosts/hosts.ts";
import { findRepository, noCredentials, type Slot } from "../repositories/repositories.ts";
import * as store from "./rotation.store.ts";
import { hostAndRepository } from "./rotation-edits.ts";
import type {
  AccessRow,
  AccessStep,
  Problem,
  Rotation,
  RotationKey,
  RotationState,
} from "./rotation-state.ts";

/** What one host has stored in one slot, and how far it is. */
export interface AccessView {
  slot: Slot;
  step: AccessStep;
  jobId: string | null;
  problem: Problem | null;
  retryAt: number | null;
}

/** One host that shares the repository. */
export interface RotationHost {
  id: string;
  name: string;
  isOnline: boolean;
  lastSeenAt: number | null;
  /** The everyday one, and the admin one where there is one; none before the rotation has met the host. */
  accesses: AccessView[];
}

export interface RotationView {
  /** The host that was asked about. */
  host: { id: string; name: string };
  location: string;
  /** The first that was added first. */
  hosts: RotationHost[];
  /** The one that is under way, or the last one; null when there never was one. */
  rotation:
    | (Pick<Rotation, "state" | "startedAt" | "changedAt" | "endedAt" | "jobId" | "problem" | "retryAt"> & {
        startedBy: string;
        keys: RotationKey[];
      })
    | null;
}

/** @throws AppError `hosts.not_found`, `repositories.no_credentials` */
export async function getRotationView(deps: { db: Db; clock: Clock }, hostId: string): Promise<RotationView> {
  const { db, clock } = deps;
  const { host, repositoryId } = await hostAndRepository(db, hostId);
  const repository = await findRepository(db, repositoryId);
  if (!repository) throw noCredentials();
  const rotation = await store.findRotation(db, repositoryId);
  const accesses = rotation ? await store.listAccesses(db, rotation.id) : [];
  const sharers = await listHostsOfRepository(db, repositoryId);
  return {
    host: { id: host.id, name: host.name },
    location: repository.location,
    hosts: sharers.map((sharer) => viewHost(sharer, accesses, clock.now())),
    rotation: rotation && {
      state: rotation.state,
      startedAt: rotation.startedAt,
      changedAt: rotation.changedAt,
      endedAt: rotation.endedAt,
      jobId: rotation.jobId,
      problem: rotation.problem,
      retryAt: rotation.retryAt,
      startedBy: rotation.actor.name,
      keys: await store.listKeys(db, rotation.id),
    },
  };
}

function viewHost(host: Host, accesses: readonly AccessRow[], now: number): RotationHost {
  return {
    id: host.id,
    name: host.name,
    isOnline: isOnline(host, now),
    lastSeenAt: host.lastSeenAt,
    accesses: accesses
      .filter(({ hostId }) => hostId === host.id)
      .map(({ slot, step, jobId, problem, retryAt }) => ({ slot, step, jobId, problem, retryAt }))
      .sort((a, b) => (a.slot > b.slot ? -1 : 1)),
  };
}

export type RotationPhase = Exclude<RotationState, "done" | "stopped">;

/** How far the rotation is that is under way on a repository; null when none is. */
export async function rotationPhaseOf(db: Db, repositoryId: string): Promise<RotationPhase | null> {
  return ((await store.findActive(db, repositoryId))?.state ?? null) as RotationPhase | null;
}
