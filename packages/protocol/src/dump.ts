/**
 * A download: bytes of a snapshot on their way from a host's restic to a browser. Nothing of it is kept anywhere, so it
 * flows by credit: the agent sends only as many chunks as the server has asked for, and the server asks for the next
 * one when a chunk has left for the browser. A slow browser so stops restic, and neither side holds more than a few
 * chunks. Volatile: a dump ends with its connection.
 */
import { z } from "zod";
import { code, count, id, snapshotId, text } from "./primitives.ts";
import { snapshotPath } from "./tree.ts";

/** The most selections of one download. */
export const maxDumpPaths = 1000;
/** The most chunks that may be under way. Of the 48 KiB that our agent sends, 16 keep a line of 50 ms at 15 MB/s busy. */
export const maxDumpCredit = 16;
/** The longest `data`, as base64. */
const maxChunkChars = 256 * 1024;

/**
 * Server → agent: read this out of a snapshot. `raw` is the bytes of one file; `tar` one archive of all selections, each
 * under its whole path; `zip` the archive of one folder. Nothing is sent before there is credit.
 */
export const dumpStart = z.object({
  type: z.literal("dump.start"),
  request_id: id,
  snapshot_id: snapshotId,
  paths: z.array(snapshotPath).min(1).max(maxDumpPaths),
  format: z.enum(["raw", "tar", "zip"]),
});
export type DumpStart = z.infer<typeof dumpStart>;

/** Server → agent: so many chunks more may be sent. */
export const dumpCredit = z.object({
  type: z.literal("dump.credit"),
  request_id: id,
  chunks: count.min(1).max(maxDumpCredit),
});
export type DumpCredit = z.infer<typeof dumpCredit>;

/** Server → agent: nobody wants the rest. Not answered. */
export const dumpCancel = z.object({ type: z.literal("dump.cancel"), request_id: id });
export type DumpCancel = z.infer<typeof dumpCancel>;

/** Agent → server: the next bytes; `n` counts from 0 without a gap. */
export const dumpChunk = z.object({
  type: z.literal("dump.chunk"),
  request_id: id,
  n: count,
  /** base64. Whoever decodes it looks whether all of it was: a schema would read each byte once more. */
  data: z.string().max(maxChunkChars),
});
export type DumpChunk = z.infer<typeof dumpChunk>;

/**
 * Agent → server: that was all, or what came before is not the whole. Needs no credit.
 * Codes: `dump.not_found`, `dump.is_folder`, `dump.not_a_file`, `dump.not_a_folder`, `dump.busy`, `dump.incomplete`, `dump.failed`,
 * `agent.no_repository`, and those of restic.
 */
export const dumpEnd = z.object({
  type: z.literal("dump.end"),
  request_id: id,
  error: z.object({ code, message: text(2000) }).nullable(),
});
export type DumpEnd = z.infer<typeof dumpEnd>;
