/** What an operator asks for, as JSON: the same for a token and for a machine that announced itself. */
import { z } from "zod";
import type { PlanInput } from "./enrolment-plan.ts";

/** Lengths are the slice's rules, with sentences of their own; the body's limit bounds these. */
export const planBody = z.strictObject({
  hostname: z.string(),
  repo_url: z.string(),
  repo_username: z.string().optional(),
  repo_password: z.string().optional(),
  rest_password: z.string().optional(),
  /** restic's variables for this kind of storage, such as AWS_ACCESS_KEY_ID. */
  environment: z.record(z.string(), z.string()).optional(),
  /** PEM, one certificate or more. */
  ca_certificate: z.string().optional(),
  /** restic's `-o` options for this kind of storage. */
  options: z.record(z.string(), z.string()).optional(),
  tags: z.array(z.string()).optional(),
  initial_paths: z.array(z.string()).optional(),
});

export const toPlanInput = (body: z.output<typeof planBody>): PlanInput => ({
  hostName: body.hostname,
  repoUrl: body.repo_url,
  repoUsername: body.repo_username,
  repoPassword: body.repo_password,
  restPassword: body.rest_password,
  environment: body.environment,
  caCertificate: body.ca_certificate,
  options: body.options,
  tags: body.tags,
  initialPaths: body.initial_paths,
});
