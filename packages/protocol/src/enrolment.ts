/** The HTTP call that an agent makes with a token: `POST /api/agents/enroll`. Without one it announces itself. */
import { z } from "zod";
import { code, hostName, id, text } from "./primitives.ts";

export const enrolRequest = z.strictObject({
  token: text(256).min(1),
  hostname: hostName,
  os: text(32).min(1),
  arch: text(32).min(1),
  agent_version: text(64).min(1),
  restic_version: text(64).nullish(),
});
export type EnrolRequest = z.infer<typeof enrolRequest>;

export const enrolResponse = z.object({
  host_id: id,
  /** Shown once: the server keeps only its SHA-256. */
  bearer: text(256),
  /** SHA-256 of the server's certificate to pin, `sha256:<hex>`; null when the server does not know its own certificate. */
  cert_pin: text(128).nullable(),
});
export type EnrolResponse = z.infer<typeof enrolResponse>;

/** Every error of the HTTP API. */
export const apiError = z.object({
  code,
  message: text(4000),
  details: z.unknown().optional(),
  request_id: text(64),
});
export type ApiError = z.infer<typeof apiError>;
