/**
 * What a rotation is: one new password, on its way into every access of a repository. Pure.
 * adding → switching → ready → removing → done, or stopped on the way. `ready` waits for a person, because what follows
 * can't be undone. It goes back to `switching` whenever an access is not known to be on the new password.
 */
import type { Actor } from "../../platform/http/identity.ts";
import type { Job } from "../jobs/jobs.ts";
import type { Slot } from "../repositories/repositories.ts";

export type RotationState = "adding" | "switching" | "ready" | "removing" | "done" | "stopped";

export interface Problem {
  code: string;
  message: string;
}

/** The part that works: a job, or why the last one did not do it. */
export interface Task {
  jobId: string | null;
  problem: Problem | null;
  /** When it is tried again without being asked; null with a problem: when somebody says so. */
  retryAt: number | null;
}

export const idleTask: Task = { jobId: null, problem: null, retryAt: null };

export interface Rotation extends Task {
  id: string;
  repositoryId: string;
  state: RotationState;
  /** Sealed; null once it is over. */
  sealedPassword: string | null;
  actor: Actor;
  startedAt: number;
  changedAt: number;
  endedAt: number | null;
}

/**
 * `adopt`: the host opens the repository with the new password before that is stored. `verify`: its agent does so with
 * what it has stored itself. `verified`: no key but the new one is needed for this access.
 */
export type AccessStep = "adopt" | "verify" | "verified";

/** What one host has stored in one slot, and how far it is. */
export interface AccessRow extends Task {
  hostId: string;
  slot: Slot;
  step: AccessStep;
  /** Of the stored credentials. With another version all that was found out counts for nothing. */
  version: number;
}

/** `new` opens with the new password; `old` was some host's of ours; everything else is left alone. */
export type KeyRole = "new" | "old" | "other";

export interface RotationKey {
  id: string;
  role: KeyRole;
  username: string;
  hostname: string;
  createdAt: number | null;
  removedAt: number | null;
}

/** Where a sealed new password lives. */
export const passwordPlace = (rotationId: string) => ({ row: rotationId, slot: "rotation" });

/** How long after a failure that may pass by itself it is tried again. */
export const retryAfterMs = 60_000;

/** Failures of the moment: an agent that was restarted, a storage that was away, a lock. */
const passing: ReadonlySet<string> = new Set([
  "agent.access_gone",
  "agent.no_repository",
  "agent.journal_failed",
  "jobs.lost",
  "jobs.expired",
  "restic.repository_locked",
  "restic.unreachable",
  "restic.timeout",
  "restic.killed",
  "restic.vanished",
  "restic.stop_forced",
  "rotation.access_changed",
  "rotation.not_verified",
  "rotation.no_answer",
]);

/** What is left of a task after a failure. */
export const failedTask = (problem: Problem, now: number): Task => ({
  jobId: null,
  problem,
  retryAt: passing.has(problem.code) ? now + retryAfterMs : null,
});

/** Whether a task without a job may have one now. */
export const mayStart = ({ jobId, problem, retryAt }: Task, now: number): boolean =>
  jobId === null && (problem === null || (retryAt !== null && retryAt <= now));

/** What an ended job of ours told; a problem for everything but a success that says what it found. */
export function findingOf(job: Job): Extract<Job["result"], { kind: "key" }> | Problem {
  if (job.status === "succeeded" && job.result?.kind === "key") return job.result;
  if (job.status === "cancelled") {
    return {
      code: "rotation.cancelled",
      message: "This step was cancelled. Try again, or stop the rotation.",
    };
  }
  if (job.error) return { code: job.error.code, message: job.error.message };
  return { code: "rotation.no_answer", message: "The agent did not say what it found. It is asked again." };
}
