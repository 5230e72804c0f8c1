/**
 * The small shapes that messages are made of, each with its bound.
 * Invariant: no string and no list on the wire is unbounded; a hostile peer costs at most one frame.
 */
import { z } from "zod";

/** A ULID: 26 characters of Crockford's base 32 (https://github.com/ulid/spec). */
export const id = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/);

/** An instant in RFC 3339, always UTC and always with milliseconds: `2026-11-23T04:12:09.104Z`. */
export const instant = z.iso.datetime({ precision: 3 });

/** A count, a size in bytes or a line number. */
export const count = z.int().min(0);

/** Text that a person reads, such as an error's message. */
export const text = (maxLength: number) => z.string().max(maxLength);

/** A stable machine-readable code such as `restic.wrong_password`. */
export const code = z
  .string()
  .regex(/^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/)
  .max(80);

/** A path on a host. 32,768 is the longest that Windows knows. */
export const path = z.string().min(1).max(32_768);

/**
 * The name of a host: it becomes restic's `--host` and part of file names and URLs.
 * Letters, digits, dot, hyphen and underscore as in RFC 1123, plus the underscore that Windows allows.
 */
export const hostName = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/);

/** The name of a source group: it is the snapshot's tag, so no comma (restic splits tags there) and no edge blanks. */
export const groupName = z
  .string()
  .max(80)
  .regex(/^[^\s,\p{C}]([^,\p{C}]*[^\s,\p{C}])?$/u);

/** A restic snapshot's full id, as printed since restic 0.15. */
export const snapshotId = z.string().regex(/^[0-9a-f]{8,64}$/);

/** The full id of one of a repository's keys: restic lists them in full since 0.17. */
export const keyId = z.string().regex(/^[0-9a-f]{64}$/);

/** A TiB a second: far beyond any line, and exact in every program between here and restic. */
const maxKib = 1_073_741_824;

/** KiB a second for one run of restic; null or absent is unlimited. */
export const bandwidth = z.object({
  upload_kib: count.min(1).max(maxKib).nullish(),
  download_kib: count.min(1).max(maxKib).nullish(),
});
export type Bandwidth = z.infer<typeof bandwidth>;
