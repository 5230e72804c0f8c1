/** What the server tells an agent about its repository. Sent on connect before anything else, and on every edit. */
import { z } from "zod";
import { count, text } from "./primitives.ts";

/**
 * The everyday credentials of one repository. Secret as a whole: never logged, stored sealed on both sides.
 * `location` is restic's repository string without user info.
 */
export const repositoryAccess = z.object({
  location: text(2048).min(1),
  /** Encrypts the repository. */
  password: text(1024).min(1),
  /** For rest-server: RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD. */
  rest_username: text(256).nullable(),
  rest_password: text(1024).nullable(),
});
export type RepositoryAccess = z.infer<typeof repositoryAccess>;

/** Server → agent. `version` grows with every change, so that a late frame never overwrites a newer one. */
export const configUpdate = z.object({
  type: z.literal("config.update"),
  version: count,
  repository: repositoryAccess.nullable(),
});
export type ConfigUpdate = z.infer<typeof configUpdate>;
