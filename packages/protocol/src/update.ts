/**
 * An update: another version of the agent itself, or of the restic that it runs. What is offered is named by a signed
 * list of digests (SHA256SUMS), and the key that the agent checks the signature with is baked into the agent: a server
 * can withhold an update, and can't forge one.
 */
import { z } from "zod";
import { text } from "./primitives.ts";
import { maxSumsBytes } from "./release.ts";
import { versionText } from "./version-order.ts";

/** What an update is of. */
export const updateProgram = z.enum(["agent", "restic"]);
export type UpdateProgram = z.infer<typeof updateProgram>;

/**
 * The agent looks up the file of its own system in `sums`, downloads `/install/<its name>` from its server and takes it
 * only when signature, digest and version are right. A job of the agent itself ends as succeeded once the new version
 * has been welcomed; with that it ends, so nothing of it is left to a version that might not work.
 */
export const updateSpec = z.object({
  kind: z.literal("update"),
  program: updateProgram,
  /** The version wanted. */
  version: versionText,
  /** SHA256SUMS, byte for byte, and its Ed25519 signature in base64. Put in when the job is sent; never absent on the wire. */
  sums: text(maxSumsBytes).nullish(),
  signature: text(256).nullish(),
});
export type UpdateSpec = z.infer<typeof updateSpec>;

/** What an update did. `from` is null when there was none before, or when it did not tell its version. */
export const updateResult = z.object({
  kind: z.literal("update"),
  program: updateProgram,
  from: text(64).nullable(),
  to: text(64),
});
export type UpdateResult = z.infer<typeof updateResult>;

/** Why an update did not happen; the program is then the one from before. */
export const updateFailures = [
  /** The new version could not say hello; the old one runs again. */
  "update.rolled_back",
  "update.signature_invalid",
  "update.digest_mismatch",
  /** Older than what runs. */
  "update.downgrade",
  /** Nothing is offered for this system. */
  "update.no_artefact",
  "update.download_failed",
  "update.disk_full",
  "update.not_writable",
  /** The package manager owns the program, and could not be called. */
  "update.managed_by_apt",
  /** Nothing would start the program again: no systemd, no service of Windows. */
  "update.no_supervisor",
] as const;
export type UpdateFailure = (typeof updateFailures)[number];
