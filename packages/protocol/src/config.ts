/** What the server tells an agent about its repository. Sent on connect before anything else, and on every edit. */
import { z } from "zod";
import { backendEnvironment, backendOptionValues, caCertificate, findBackendProblems } from "./backends.ts";
import { count, text } from "./primitives.ts";

const accessFields = z.object({
  location: text(2048).min(1),
  /** Encrypts the repository. */
  password: text(1024).min(1),
  /** For rest-server: RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD. */
  rest_username: text(256).nullable(),
  rest_password: text(1024).nullable(),
  /** Variables of restic's environment, from the list in backends.ts. An agent of before ignores this and the next two. */
  environment: backendEnvironment.nullish(),
  /** The only authorities that restic trusts, in place of the host's: PEM, one or more. */
  ca_certificate: caCertificate.nullish(),
  /** restic's `-o` options, from the list in backends.ts. No secrets: they stand in the list of running programs. */
  options: backendOptionValues.nullish(),
});

/**
 * The credentials of one repository. Secret as a whole: never logged, stored sealed on both sides.
 * `location` is restic's repository string without user info. A setting that its kind doesn't take makes it invalid.
 */
export const repositoryAccess = accessFields.superRefine((access, context) => {
  for (const { path, message } of findBackendProblems(access.location, access))
    context.addIssue({ code: "custom", path, message });
});
export type RepositoryAccess = z.infer<typeof repositoryAccess>;

/** Server → agent. `version` grows with every change, so that a late frame never overwrites a newer one. */
export const configUpdate = z.object({
  type: z.literal("config.update"),
  version: count,
  repository: repositoryAccess.nullable(),
});
export type ConfigUpdate = z.infer<typeof configUpdate>;
