/** Looking at a host's folders while a source group is written: one folder, one page, nothing kept. */
import { z } from "zod";
import { code, count, id, path, text } from "./primitives.ts";

/** The most entries of one page. */
export const maxFsEntries = 500;

/** Server → agent: list one folder. Answered with `fs.entries` of the same `request_id`, or not at all. */
export const fsList = z.object({
  type: z.literal("fs.list"),
  request_id: id,
  /** Absolute; null for where the host begins: `/`, or the drives of Windows. */
  path: path.nullable(),
  /** The page after this name, in the order of the entries; null for the first. */
  after: text(4096).nullable(),
  limit: count.min(1).max(maxFsEntries),
});
export type FsList = z.infer<typeof fsList>;

export const fsEntry = z.object({
  name: text(4096),
  /** What the name leads to; `other` is a device, a socket or what could not be looked at. */
  kind: z.enum(["folder", "file", "link", "other"]),
  size_bytes: count.nullable(),
});
export type FsEntry = z.infer<typeof fsEntry>;

/**
 * Agent → server: folders first, then by name. With an error `entries` is empty.
 * Codes: `fs.not_found`, `fs.not_a_folder`, `fs.no_rights`, `fs.relative_path`, `fs.failed`.
 */
export const fsEntries = z.object({
  type: z.literal("fs.entries"),
  request_id: id,
  entries: z.array(fsEntry).max(maxFsEntries),
  /** More follow after the last of these. */
  more: z.boolean(),
  error: z.object({ code, message: text(2000) }).nullable(),
});
export type FsEntries = z.infer<typeof fsEntries>;
