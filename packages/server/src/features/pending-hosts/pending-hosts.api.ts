/** JSON routes of pending hosts, and the socket at which a machine waits. */
import { announceRequest, announceResponse, serverNameOf } from "@restic-manager/protocol";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { toInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { clientAddress } from "../../platform/http/client-address.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { type EnrolmentDeps, planBody, toPlanInput } from "../enrolment/enrolment.ts";
import { announce } from "./announce.ts";
import { acceptPendingHost, rejectPendingHost } from "./decisions.ts";
import { type Duplicate, listPendingHosts, type WaitingHost } from "./pending-hosts.ts";
import type { RefusalReason, RefusalTrail } from "./refusal-trail.ts";
import type { WaitingRoom } from "./waiting-room.ts";

export interface PendingHostRouteDeps extends EnrolmentDeps {
  room: WaitingRoom;
  refusals: RefusalTrail;
  /** The public URL, when one is set: its name is then the only one. */
  baseUrl: string | undefined;
}

/** From one address. A machine needs one, and one more each time its connection breaks. */
export const announcementsPerMinute = 10;
/** More than announcements, of which each may need a second dial. */
const dialsPerMinute = 60;

const pendingParams = z.object({ id: z.string().regex(/^[\w-]{1,64}$/) });

const duplicate = z.object({
  /** What is the same: the name or the machine, of another that waits or of a host. */
  kind: z.enum(["pending_name", "pending_machine", "host_name", "host_machine"]),
  host_id: z.string().nullable(),
});

const pendingHost = z.object({
  id: z.string(),
  hostname: z.string(),
  os: z.string(),
  arch: z.string(),
  agent_version: z.string(),
  restic_version: z.string().nullable(),
  note: z.string().nullable(),
  address: z.string(),
  fingerprint: z.string(),
  /** What the machine dialled; null until it has proved its key, and then it can't be accepted. */
  server_name: z.string().nullable(),
  /** Whether it is connected now. */
  connected: z.boolean(),
  duplicates: z.array(duplicate),
  announced_at: z.string(),
  expires_at: z.string(),
});

/** The fingerprint is the one that was compared; the rest is what a token is made of. */
const acceptBody = planBody.extend({
  fingerprint: z.string(),
  /** What the machine dialled; needed where it is not the address of this request. */
  server_name: z.string().optional(),
});

const accepted = z.object({ host_id: z.string(), repo_password: z.string().optional() });

/** The name of this server that a proof must hold. */
export const ownNameOf = (request: FastifyRequest, baseUrl: string | undefined): string =>
  baseUrl === undefined ? request.host.toLowerCase() : serverNameOf(new URL(baseUrl));

const toWireDuplicate = (one: Duplicate): z.input<typeof duplicate> => ({
  kind: one.kind,
  host_id: "hostId" in one ? one.hostId : null,
});

const toWire = (one: WaitingHost, connected: boolean): z.input<typeof pendingHost> => ({
  id: one.id,
  hostname: one.hostname,
  os: one.os,
  arch: one.arch,
  agent_version: one.agentVersion,
  restic_version: one.resticVersion,
  note: one.note,
  address: one.address,
  fingerprint: one.fingerprint,
  server_name: one.serverName,
  connected,
  duplicates: one.duplicates.map(toWireDuplicate),
  announced_at: toInstant(one.announcedAt),
  expires_at: toInstant(one.expiresAt),
});

export function registerPendingHostRoutes(app: App, deps: PendingHostRouteDeps): void {
  const { refusals } = deps;
  const tooOften = (request: FastifyRequest) =>
    void refusals.record("request.rate_exceeded", clientAddress(request));
  apiRoute(app, {
    method: "POST",
    url: "/api/agents/announce",
    policy: "anonymous",
    perMinute: announcementsPerMinute,
    onRateExceeded: tooOften,
    summary: "Ask to become a host, without a token; called by the agent, which then proves its key.",
    schema: { body: announceRequest, response: { 200: announceResponse } },
    async answer({ body, request }) {
      const { pendingId, nonce, expiresAt } = await announce(deps, {
        hostname: body.hostname,
        os: body.os,
        arch: body.arch,
        agentVersion: body.agent_version,
        resticVersion: body.restic_version ?? null,
        machineId: body.machine_id ?? null,
        note: body.note ?? null,
        address: clientAddress(request),
        publicKey: body.public_key,
        pendingId: body.pending_id ?? null,
      }).catch(async (error: unknown) => {
        if (error instanceof AppError && error.code === "pending.list_full")
          await refusals.record("pending.list_full", clientAddress(request));
        throw error;
      });
      return { pending_id: pendingId, nonce, expires_at: toInstant(expiresAt) };
    },
  });
  apiRoute(app, {
    method: "GET",
    url: "/api/pending-hosts",
    policy: "viewer",
    summary: "The machines that announced themselves and wait for a decision, the oldest first.",
    schema: { response: { 200: z.object({ pending_hosts: z.array(pendingHost) }) } },
    async answer() {
      const waiting = await listPendingHosts(deps);
      return { pending_hosts: waiting.map((one) => toWire(one, deps.room.isWaiting(one))) };
    },
  });
  registerDecisionRoutes(app, deps);
  registerWaitingSocket(app, deps);
}

function registerDecisionRoutes(app: App, deps: PendingHostRouteDeps): void {
  apiRoute(app, {
    method: "POST",
    url: "/api/pending-hosts/:id/accept",
    policy: "operator",
    summary: "Make a host of a machine whose fingerprint was compared. A minted password is shown once.",
    schema: { params: pendingParams, body: acceptBody, response: { 201: accepted } },
    async answer({ params: { id }, body, identity, request, reply }) {
      const { fingerprint, server_name: serverName, ...plan } = body;
      const { hostId, repoPassword } = await acceptPendingHost(deps, {
        ...{ ...toPlanInput(plan), id, fingerprint, serverName },
        ownName: ownNameOf(request, deps.baseUrl),
        actor: actorOf(requireIdentity(identity)),
      });
      void reply.code(201);
      return { host_id: hostId, ...(repoPassword === null ? {} : { repo_password: repoPassword }) };
    },
  });
  apiRoute(app, {
    method: "POST",
    url: "/api/pending-hosts/:id/reject",
    policy: "operator",
    summary: "Send a machine away; it is told the reason, if there is one.",
    schema: {
      params: pendingParams,
      body: z.strictObject({ reason: z.string().optional() }),
      response: { 200: z.object({}) },
    },
    async answer({ params: { id }, body, identity }) {
      await rejectPendingHost(deps, {
        ...{ id, reason: body.reason ?? "" },
        actor: actorOf(requireIdentity(identity)),
      });
      return {};
    },
  });
}

function registerWaitingSocket(app: App, { room, refusals, baseUrl }: PendingHostRouteDeps): void {
  const refused = (code: RefusalReason, request: FastifyRequest) =>
    refusals.record(code, clientAddress(request));
  app.route({
    method: "GET",
    url: "/ws/agent/pending",
    schema: { summary: "Where a machine waits to be accepted; see docs/protocol.md.", hide: true },
    // Nobody is known here: the first message is the proof, and there are few seconds and few sockets for it.
    config: {
      policy: "anonymous",
      rateLimit: {
        ...{ max: dialsPerMinute, timeWindow: 60_000 },
        onExceeded: (request) => void refused("request.rate_exceeded", request),
      },
    },
    preValidation: async (request) => {
      if (request.headers.upgrade === undefined || !room.isFull) return;
      await refused("pending.too_many_connections", request);
      throw tooMany();
    },
    handler: (_request, reply) =>
      reply.code(426).send({ code: "link.upgrade_required", message: "Connect with WebSocket." }),
    wsHandler: (socket, request) => {
      // The plugin's listener would keep request and reply for as long as the machine waits.
      socket.removeAllListeners("error");
      room.accept(socket, { address: clientAddress(request), ownName: ownNameOf(request, baseUrl) });
    },
  });
}

const tooMany = (): AppError =>
  new AppError(
    "rate_limited",
    "pending.too_many_connections",
    "Too many machines are connected that nobody accepted. Try again in a minute.",
  );
