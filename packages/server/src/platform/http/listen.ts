/** Opening the port, and what its address is. */
import type { AddressInfo } from "node:net";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { App } from "./route.ts";

/** Connections that may wait to be accepted: a fleet that comes back at once; more wait for their next SYN, 1 s later. */
const listenBacklog = 4096;
/** Together five seconds. */
const listenTries = 25;
const listenPauseMs = 200;

/**
 * After kill -9 the old program's port may still be held for a moment, and a supervisor starts us at once: try again.
 * @throws AppError `server.port_taken` or `server.listen_failed`
 */
export async function listen(
  app: App,
  config: { listenHost: string; listenPort: number },
  clock: Clock,
): Promise<void> {
  const where = `${config.listenHost}:${config.listenPort}`;
  for (let left = listenTries; ; left--) {
    try {
      await app.listen({
        host: config.listenHost,
        port: config.listenPort,
        backlog: listenBacklog,
        listenTextResolver: () => "accepting",
      });
      return;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== "EADDRINUSE") {
        throw new AppError(
          "internal",
          "server.listen_failed",
          `The server can't listen on ${where}: ${code}.`,
          { cause },
        );
      }
      if (left === 0) {
        const message = `Another program already listens on ${where}. Stop it, or set RM_LISTEN to another address.`;
        throw new AppError("internal", "server.port_taken", message, { cause });
      }
    }
    await clock.sleep(listenPauseMs);
  }
}

/** The URL of an app that listens. @param host as it was set, such as `127.0.0.1` or `::` */
export function addressOf(app: App, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
