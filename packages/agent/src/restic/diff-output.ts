/**
 * What restic prints about how two snapshots differ. As tolerant as output.ts: no bytes ever make it throw, and a line that
 * is something else is undefined.
 */
import { z } from "zod";
import { parseJson } from "./output.ts";

/** One entry in which two snapshots differ. */
export type SnapshotChange = {
  /** With a slash at the end for a folder. */
  path: string;
  /** restic's letters: `+` added, `-` removed, `M` content, `T` type, `U` metadata, `?` content with the same metadata. */
  modifier: string;
};

const change = z.object({
  message_type: z.literal("change"),
  path: z.string().min(1),
  modifier: z.string().regex(/^(\+|-|[MTU?]{1,4})$/),
});

/** One line of `diff --json`; undefined for its statistics and what is no change. */
export function parseChange(line: string): SnapshotChange | undefined {
  const { data } = change.safeParse(parseJson(line));
  return data === undefined ? undefined : { path: data.path, modifier: data.modifier };
}
