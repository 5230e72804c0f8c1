/**
 * What a host downloads, without a login: a new host has none, and what is served is signed. Names come from the list of
 * the release and from nowhere else.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { type App, apiRoute } from "../../platform/http/route.ts";
import { sendFile } from "../../platform/http/send-file.ts";
import { findAptFile } from "./apt-file.ts";
import {
  aptFolder,
  findByName,
  findNewest,
  type ReleaseFile,
  type ReleaseShelf,
  requireWhole,
} from "./artefacts.ts";

const system = z.object({ os: z.string().max(32), arch: z.string().max(32) });

/** Read in a browser rather than saved. */
const textNames = /^(install\.(sh|ps1)|SHA256SUMS(\.sig)?|release\.pub|.*\.(txt|service))$/;

function typeOf(name: string): string {
  if (textNames.test(name)) return "text/plain; charset=utf-8";
  return name.endsWith(".json") ? "application/json" : "application/octet-stream";
}

async function answerFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: ReleaseFile,
): Promise<FastifyReply> {
  void reply.header("x-artefact-name", file.name).header("x-artefact-sha256", file.sha256);
  if (file.artefact) void reply.header("x-artefact-version", file.artefact.version);
  return sendFile(request, reply.type(typeOf(file.name)), file);
}

export function registerArtefactRoutes(app: App, deps: { shelf: ReleaseShelf }): void {
  const { shelf } = deps;
  const shared = { method: "GET", policy: "anonymous" } as const;
  const programs = [
    ["/agent/binary", "restic-manager-agent", "The newest agent for a system."],
    ["/agent/restic", "restic", "The restic that belongs to the agents, for a system."],
  ] as const;
  for (const [url, program, summary] of programs) {
    apiRoute(app, {
      ...{ ...shared, url, summary },
      schema: { querystring: system },
      async answer({ query, request, reply }) {
        return answerFile(request, reply, findNewest(await shelf.current(), program, query));
      },
    });
  }
  apiRoute(app, {
    ...shared,
    url: "/install/:name",
    summary: "A file of the release: a program, an installer, SHA256SUMS, its signature or the key.",
    schema: { params: z.object({ name: z.string().max(200) }) },
    async answer({ params, request, reply }) {
      return answerFile(request, reply, findByName(await shelf.current(), params.name));
    },
  });
  apiRoute(app, {
    ...shared,
    url: "/apt/*",
    summary: "A file of the apt repository that comes with the release.",
    schema: { params: z.object({ "*": z.string().max(1000) }) },
    async answer({ params, request, reply }) {
      const folder = aptFolder(requireWhole(await shelf.current()));
      const file = await findAptFile(folder, params["*"]);
      return sendFile(request, reply.type("application/octet-stream"), file);
    },
  });
}
