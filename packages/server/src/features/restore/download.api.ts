/** The route of downloads. */
import { maxDumpPaths, snapshotId, snapshotPath } from "@restic-manager/protocol";
import { z } from "zod";
import { attachment } from "../../platform/http/attachment.ts";
import { abortWhenGone } from "../../platform/http/gone.ts";
import { actorOf } from "../../platform/http/identity.ts";
import { type App, apiRoute, requireIdentity } from "../../platform/http/route.ts";
import { type DownloadDeps, openDownload } from "./download.ts";

/** A query has one value or several. */
const paths = z.union([
  snapshotPath.transform((path) => [path]),
  z.array(snapshotPath).min(1).max(maxDumpPaths),
]);

const mediaTypes = {
  raw: "application/octet-stream",
  tar: "application/x-tar",
  zip: "application/zip",
} as const;

export function registerDownloadRoutes(app: App, deps: DownloadDeps): void {
  apiRoute(app, {
    method: "GET",
    url: "/api/hosts/:hostId/snapshots/:snapshotId/download",
    policy: "operator",
    summary:
      "The bytes of a file of a snapshot; `format=tar` gives folders and several paths as one archive, `format=zip` one folder. A connection that breaks off means that they are not the whole.",
    answersHead: false,
    schema: {
      params: z.object({ hostId: z.string().max(64), snapshotId }),
      querystring: z.object({ path: paths, format: z.enum(["raw", "tar", "zip"]).default("raw") }),
    },
    async answer({ params, query, identity, reply }) {
      const { bytes, name } = await openDownload(deps, {
        ...{ ...params, paths: query.path, format: query.format },
        ...{ actor: actorOf(requireIdentity(identity)), gone: abortWhenGone(reply) },
      });
      void reply.header("content-disposition", attachment(name));
      return reply.type(mediaTypes[query.format]).send(bytes);
    },
  });
}
