/** The JSON route to a host's folders. */
import { z } from "zod";
import { type App, apiRoute } from "../../platform/http/route.ts";
import { type FolderDeps, readFolder } from "./folders.ts";

/** No file name holds a NUL; an agent must not be asked for one. */
const noNul = /^[^\0]*$/;
const query = z.object({
  path: z.string().max(32_768).regex(noNul).optional(),
  after: z.string().max(4096).regex(noNul).optional(),
});
const wireEntries = z.object({
  entries: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(["folder", "file", "link", "other"]),
      size_bytes: z.number().nullable(),
    }),
  ),
  more: z.boolean(),
});

export function registerFolderRoutes(app: App, deps: FolderDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/files",
    policy: "operator",
    summary: "One page of a folder of the host: folders first, then by name, from after the name `after`.",
    schema: {
      params: z.object({ hostId: z.string().max(64) }),
      querystring: query,
      response: { 200: wireEntries },
    },
    answer: ({ params, query: wanted }) => readFolder(deps, { hostId: params.hostId, ...wanted }),
  });
}
