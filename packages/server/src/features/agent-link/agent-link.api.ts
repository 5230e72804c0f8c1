/** `GET /ws/agent`: where agents dial in. The bearer is checked before the upgrade, so a stranger costs one query. */
import type { WebSocket } from "@fastify/websocket";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Db } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { App } from "../../platform/http/route.ts";
import { findHostByBearer, type Host } from "../hosts/hosts.ts";
import type { AgentHub } from "./agent-link.hub.ts";

const refused = (): AppError =>
  new AppError(
    "unauthenticated",
    "link.bearer_unknown",
    "This server does not know the agent's bearer. Enrol the host again.",
  );

const notNow = (): AppError =>
  new AppError(
    "unavailable",
    "link.not_served",
    "This server stops, or its database does not answer. Dial again: another one may serve the agent.",
  );

const askForUpgrade = (reply: FastifyReply): FastifyReply =>
  reply.code(426).send({
    code: "link.upgrade_required",
    message:
      "Connect with WebSocket. If you did, a reverse proxy in between drops the Upgrade header: see docs/reverse-proxy.md.",
  });

/**
 * One is enough for an agent; a bad line may leave some half-open. Each may hold a frame, so a bearer that dials
 * without end must not be let in without end.
 */
const maxConnectionsOfHost = 32;

const tooMany = (): AppError =>
  new AppError(
    "rate_limited",
    "link.too_many_connections",
    "This host has too many connections open. Look for a second agent that uses its bearer.",
  );

/** A dial whose bearer is known. */
interface Dial {
  host: Host;
  reply: FastifyReply;
}

/** Nothing is to be answered any more, and what was asked would be kept for as long as the agent is connected. */
function forgetRequest(socket: WebSocket, request: FastifyRequest, reply: FastifyReply): void {
  // The plugin's; the hub has its own.
  socket.removeAllListeners("error");
  reply.raw.detachSocket(request.raw.socket);
}

export function registerAgentLink(app: App, deps: { db: Db; hub: AgentHub }): void {
  const dials = new WeakMap<FastifyRequest, Dial>();
  const open = new Map<string, number>();
  const count = (hostId: string, change: 1 | -1): void => {
    const now = (open.get(hostId) ?? 0) + change;
    if (now === 0) open.delete(hostId);
    else open.set(hostId, now);
  };
  app.route({
    method: "GET",
    url: "/ws/agent",
    schema: { summary: "The agents' WebSocket; see docs/protocol.md.", hide: true },
    // No rate limit: behind one proxy or NAT a whole fleet has one address, and after a restart it dials at once.
    config: { policy: "agent", rateLimit: false },
    preValidation: async (request, reply) => {
      const bearer = /^Bearer ([\w.~+/-]{1,256})$/.exec(request.headers.authorization ?? "")?.[1];
      // A machine that is not enrolled yet sees by this whether its upgrade arrives here.
      if (bearer === undefined && !request.ws) return askForUpgrade(reply);
      // Before the bearer, which only the database knows.
      if (!deps.hub.isOpen) throw notNow();
      const host = bearer === undefined ? null : await findHostByBearer(deps.db, bearer);
      if (!host) throw refused();
      if ((open.get(host.id) ?? 0) >= maxConnectionsOfHost) throw tooMany();
      dials.set(request, { host, reply });
    },
    handler: (_request, reply) => askForUpgrade(reply),
    wsHandler: (socket, request) => {
      const dial = dials.get(request);
      if (!dial) {
        socket.close(1011);
        return;
      }
      forgetRequest(socket, request, dial.reply);
      const { host } = dial;
      count(host.id, 1);
      socket.on("close", () => count(host.id, -1));
      deps.hub.accept(socket, host);
    },
  });
}
