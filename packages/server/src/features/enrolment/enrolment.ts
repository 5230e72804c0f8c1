/**
 * Enrolment: how a machine becomes a host. An operator makes a token that is good once and for an hour; the agent
 * trades it for a bearer. Tokens and bearers are stored as SHA-256 only; the repository's secrets wait on the
 * token's row, sealed, and move to the host in the transaction that uses the token up.
 */
import { type RepositoryAccess, repositoryAccess } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { type Db, inTransaction, isUniqueViolation } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { EventBus } from "../../platform/events.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { hashToken, newId, newToken } from "../../platform/random.ts";
import type { SecretBox } from "../../platform/secrets.ts";
import { recordAudit } from "../audit/audit.ts";
import {
  createHost,
  findHost,
  findHostByName,
  type Host,
  hostChanged,
  type NewHost,
  nameTaken,
} from "../hosts/hosts.ts";
import { ensureRepository, saveEverydayAccess } from "../repositories/repositories.ts";
import {
  claimToken,
  type EnrolmentToken,
  insertToken,
  linkHost,
  selectToken,
  selectTokenByHash,
  sweepTokens,
} from "./enrolment.store.ts";
import { type Plan, type PlanInput, readPlan } from "./enrolment-plan.ts";
import { htpasswdCommand } from "./install-command.ts";

export { planBody, toPlanInput } from "./enrolment.wire.ts";
export { type PlanInput, readPlan } from "./enrolment-plan.ts";
export { Connected } from "./enrolment-status.views.tsx";
export { planForm, planOfForm, readPlanForm, typedAgain } from "./plan-form.ts";
export { MintedPassword, PlanFields, PlanSummary } from "./plan-form.views.tsx";

/** Long enough to walk to a machine, short enough that a leaked one is soon worthless. */
export const tokenLifetimeMs = 60 * 60 * 1000;
/** How long a token's row answers "expired" or "used" instead of "unknown". */
const rememberedMs = 30 * 24 * 60 * 60 * 1000;

export interface EnrolmentDeps {
  db: Db;
  box: SecretBox;
  clock: Clock;
  events: EventBus;
  /** Runs inside the enrolling transaction: makes what a new host starts with. */
  onEnrolled(tx: Db, input: { host: Host; initialPaths: string[]; at: number }): Promise<unknown>;
}

export interface NewEnrolment extends PlanInput {
  /** A fresh ULID when the caller chooses it, so that the same form sent twice makes one token. */
  id?: string | undefined;
  actor: Actor;
}

export interface CreatedEnrolment {
  id: string;
  /** Shown once. */
  token: string;
  expiresAt: number;
  /** Only when we made it; shown once. */
  repoPassword: string | null;
  /** The line that lets the user into a rest-server with that password; it asks for the password. */
  restHtpasswdHint: string | null;
  hostName: string;
  /** Without user info. */
  location: string;
  tags: string[];
  initialPaths: string[];
}

const sealedAt = (tokenId: string) => ({ row: tokenId, slot: "enrolment" });

/**
 * Makes a token for one host.
 * @throws AppError that names every wrong field (`hosts.name_invalid`, `hosts.tag_invalid`, `sources.path_relative`,
 *   `sources.path_invalid`, `repositories.location_invalid`, `repositories.credentials_invalid`),
 *   `hosts.name_taken`, or `enrolment.already_created` when `id` was used before
 */
export async function createEnrolmentToken(
  deps: EnrolmentDeps,
  input: NewEnrolment,
): Promise<CreatedEnrolment> {
  const plan = readPlan(input);
  if (await findHostByName(deps.db, input.hostName)) throw nameTaken(input.hostName);
  const createdAt = deps.clock.now();
  const id = input.id ?? newId(createdAt);
  const token = newToken();
  const expiresAt = createdAt + tokenLifetimeMs;
  const { tags, initialPaths, access } = plan;
  const { hostName, actor } = input;
  await inTransaction(deps.db, async (tx) => {
    await sweepTokens(tx, createdAt, createdAt - rememberedMs);
    const sealed = deps.box.seal(JSON.stringify(access), sealedAt(id));
    const row = {
      id,
      tokenHash: hashToken(token),
      hostName,
      tags,
      initialPaths,
      sealed,
      createdAt,
      expiresAt,
    };
    await insertToken(tx, { ...row, createdBy: actor.name }).catch((error: unknown) => {
      throw isUniqueViolation(error) ? alreadyCreated() : error;
    });
    const target = { kind: "enrolment_token", id, name: hostName };
    const payload = { repository: access.location, tags, path_count: initialPaths.length };
    await recordAudit(tx, { at: createdAt, actor, action: "enrolment.token_create", target, payload });
  });
  return {
    id,
    token,
    expiresAt,
    repoPassword: plan.mintedPassword,
    restHtpasswdHint: htpasswdHint(plan),
    hostName,
    location: access.location,
    tags,
    initialPaths,
  };
}

/** The line for a rest-server; only where the minted password is also what that must know. */
export function htpasswdHint({ access, mintedPassword }: Plan): string | null {
  if (access.rest_username === null || access.rest_password !== mintedPassword) return null;
  return htpasswdCommand(access.rest_username);
}

/** What an agent sends to be enrolled. */
export interface EnrolInput {
  token: string;
  hostname: string;
  os: string;
  arch: string;
  agentVersion: string;
  resticVersion: string | null;
}

/**
 * Trades a token for a host and its bearer, in one transaction: all of it happens or nothing, and of several agents
 * with one token exactly one succeeds. The host gets the token's name, whatever the machine calls itself.
 * @throws AppError `enrolment.token_invalid`, `enrolment.token_used`, `enrolment.token_expired`, or
 *   `hosts.name_taken` when another host took the name meanwhile (the token then stays good)
 */
export async function enrol(
  deps: EnrolmentDeps,
  input: EnrolInput,
): Promise<{ hostId: string; bearer: string }> {
  const at = deps.clock.now();
  const hostId = newId(at);
  const bearer = newToken();
  await inTransaction(deps.db, async (tx) => {
    const { token, sealed } = checkUsable(await selectTokenByHash(tx, hashToken(input.token)), at);
    if (!(await claimToken(tx, token.id, at))) throw tokenUsed();
    const access = openAccess(deps.box, token.id, sealed);
    const { os, arch, agentVersion, resticVersion } = input;
    const { hostName: name, tags, initialPaths } = token;
    const machine = { os, arch, agentVersion, resticVersion };
    const host = await makeHost(deps, tx, {
      ...{ id: hostId, name, tags, initialPaths, access, ...machine, bearer, at },
    });
    await linkHost(tx, token.id, hostId);
    await recordEnrolment(tx, { host, token, reportedName: input.hostname, at });
  });
  deps.events.emit(hostChanged, { hostId });
  return { hostId, bearer };
}

/** A machine that becomes a host, by a token or because somebody accepted it. */
export interface NewMember extends Omit<NewHost, "repositoryId"> {
  access: RepositoryAccess;
  initialPaths: string[];
}

/**
 * Makes a host with everything that it starts with; in the transaction of what allows it.
 * @throws AppError `hosts.name_taken`; the transaction is then over
 */
export async function makeHost(
  deps: Pick<EnrolmentDeps, "box" | "onEnrolled">,
  tx: Db,
  { access, initialPaths, ...identity }: NewMember,
): Promise<Host> {
  const { id: hostId, at } = identity;
  const repository = await ensureRepository(tx, access.location, at);
  const host = await createHost(tx, { ...identity, repositoryId: repository.id });
  await saveEverydayAccess(tx, deps.box, { hostId, access, at });
  await deps.onEnrolled(tx, { host, initialPaths, at });
  return host;
}

async function recordEnrolment(
  tx: Db,
  input: { host: Host; token: EnrolmentToken; reportedName: string; at: number },
): Promise<void> {
  const { host, token, reportedName, at } = input;
  const actor: Actor = { kind: "agent", id: host.id, name: host.name };
  const target = { kind: "host", id: host.id, name: host.name };
  const ownName = reportedName === host.name ? {} : { reported_hostname: reportedName };
  const payload = { enrolment_id: token.id, os: host.os, arch: host.arch, ...ownName };
  await recordAudit(tx, { at, actor, action: "host.enrol", target, payload });
}

const openAccess = (box: SecretBox, tokenId: string, sealed: string): RepositoryAccess =>
  repositoryAccess.parse(JSON.parse(box.open(sealed, sealedAt(tokenId))));

/** What became of a token. */
export interface EnrolmentStatus {
  id: string;
  hostName: string;
  tags: string[];
  initialPaths: string[];
  expiresAt: number;
  /** `waiting` for its agent, `enrolled` but not yet connected, `connected` at least once, or `expired` unused. */
  state: "waiting" | "enrolled" | "connected" | "expired";
  host: Host | null;
}

/** @throws AppError `enrolment.not_found`, also when the host that came of it was deleted */
export async function getEnrolmentStatus(
  deps: Pick<EnrolmentDeps, "db" | "clock">,
  tokenId: string,
): Promise<EnrolmentStatus> {
  const token = await selectToken(deps.db, tokenId);
  const host = token?.hostId ? await findHost(deps.db, token.hostId) : null;
  if (!token || (token.usedAt !== null && !host)) throw notFound();
  const { id, hostName, tags, initialPaths, expiresAt } = token;
  const unused = expiresAt <= deps.clock.now() ? "expired" : "waiting";
  const used = host?.firstConnectedAt === null ? "enrolled" : "connected";
  return { id, hostName, tags, initialPaths, expiresAt, state: host ? used : unused, host };
}

/** @throws AppError `enrolment.token_invalid`, `enrolment.token_used` or `enrolment.token_expired` */
export function checkUsable(
  token: EnrolmentToken | null,
  at: number,
): { token: EnrolmentToken; sealed: string } {
  if (!token) {
    const message =
      "This enrolment token is not known here. Check RM_TOKEN and RM_SERVER, or make a new token.";
    throw new AppError("unauthenticated", "enrolment.token_invalid", message);
  }
  if (token.usedAt !== null) throw tokenUsed();
  if (token.expiresAt <= at || token.sealed === null) {
    const message = "This enrolment token has expired: it was good for one hour. Make a new one.";
    throw new AppError("forbidden", "enrolment.token_expired", message);
  }
  return { token, sealed: token.sealed };
}

const tokenUsed = (): AppError =>
  new AppError(
    "conflict",
    "enrolment.token_used",
    "This enrolment token was already used; each is good once. Make a new one.",
  );

const alreadyCreated = (): AppError =>
  new AppError(
    "conflict",
    "enrolment.already_created",
    "This form was already sent, and its token was shown once.",
  );

/** Also for a token that does not belong to the id that it came with. */
export const notFound = (): AppError =>
  new AppError(
    "not_found",
    "enrolment.not_found",
    "There is no such enrolment. Its host may have been deleted.",
  );
