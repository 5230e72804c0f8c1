/**
 * Starts the built server for a moment, on a free port of this machine and with an empty database, and asks it to
 * describe itself. The only way to a description that is the truth.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../packages/server/src/config.ts";
import { createLog } from "../../packages/server/src/platform/log.ts";
import type { DeclaredRoute, OpenApi } from "./api-page.ts";

/** Node does not run JSX, so the server is taken as it was built; its types are those of the source. */
type Start = typeof import("../../packages/server/src/start.ts");

/** @throws Error when the server was not built: `tsc -b` first */
export async function describeApp(): Promise<{ api: OpenApi; routes: DeclaredRoute[] }> {
  const built = new URL("../../packages/server/dist/src/start.js", import.meta.url);
  const { startServer } = (await import(built.href)) as Start;
  const folder = await mkdtemp(join(tmpdir(), "rm-docs-"));
  try {
    // No page is drawn, so no style sheet is needed.
    await writeFile(join(folder, "manifest.json"), "{}");
    const config = parseConfig({ RM_LISTEN: "127.0.0.1:0", RM_DATA_DIR: join(folder, "data") });
    const server = await startServer(config, {
      log: createLog("silent"),
      assetsDir: folder,
      releaseDir: folder,
    });
    const description = { api: server.app.swagger() as OpenApi, routes: server.declaredRoutes };
    await server.stop();
    return description;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
