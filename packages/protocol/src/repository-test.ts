/** Trying an access before or after it is stored: the host opens the repository once, and keeps nothing. */
import { z } from "zod";
import { repositoryAccess } from "./config.ts";
import { code, count, id, text } from "./primitives.ts";

/** Server → agent: open this repository. Answered with `repository.tested` of the same `request_id`, or not at all. */
export const repositoryTest = z.object({
  type: z.literal("repository.test"),
  request_id: id,
  access: repositoryAccess,
  /** Then restic is stopped and the answer is `restic.timeout`. */
  timeout_seconds: count.min(1).max(60),
});
export type RepositoryTest = z.infer<typeof repositoryTest>;

/**
 * Agent → server. `absent` = the storage answers and holds no repository there: right for a new one.
 * An error has the codes of a job's, such as `restic.unauthorised` or `agent.busy`.
 */
export const repositoryTested = z.object({
  type: z.literal("repository.tested"),
  request_id: id,
  outcome: z.enum(["ok", "absent", "failed"]),
  error: z
    .object({
      code,
      message: text(4000),
      /** The last lines of restic's stderr, oldest first, redacted. */
      last_lines: z.array(text(4096)).max(20),
    })
    .nullable(),
  duration_ms: count,
});
export type RepositoryTested = z.infer<typeof repositoryTested>;
