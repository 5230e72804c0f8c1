/** Who is asking, and what each route demands of them. */

/** Roles from most to least powerful. */
export const roles = ["admin", "operator", "viewer"] as const;
export type Role = (typeof roles)[number];

/**
 * What a route demands. Every route declares one; `agent` routes check a host's bearer themselves, `replica` routes that
 * another server of ours sealed the request.
 */
export type Policy = "anonymous" | "viewer" | "operator" | "admin" | "agent" | "replica";

export interface Identity {
  userId: string;
  username: string;
  role: Role;
  /** Goes into every form as `csrf_token`; derived from the session, useless without its cookie. Empty for a token. */
  csrfToken: string;
  /** Set when the request came with an API token; `role` is then at most the token's. */
  apiToken?: { name: string };
}

/** Whether a role may use a route. `anonymous`, `agent` and `replica` routes need no role. */
export function allows(policy: Policy, role: Role | null): boolean {
  if (policy === "anonymous" || policy === "agent" || policy === "replica") return true;
  return role !== null && roles.indexOf(role) <= roles.indexOf(policy);
}

/** The person or part that did something, as jobs and audit entries record it. */
export interface Actor {
  kind: "user" | "schedule" | "system" | "agent";
  id: string | null;
  name: string;
  /** The name of the API token that was used; the audit trail keeps it. */
  token?: string;
}

export const systemActor: Actor = { kind: "system", id: null, name: "system" };

export const actorOf = (identity: Identity): Actor => ({
  kind: "user",
  id: identity.userId,
  name: identity.username,
  ...(identity.apiToken ? { token: identity.apiToken.name } : {}),
});
