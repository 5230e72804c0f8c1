/** The orderly end: what runs beside the requests first, then the requests, then whoever is still there is cut. */
import type { Clock } from "../clock.ts";
import type { App } from "./route.ts";

/** How long in-flight requests may take to end once the server stops. */
const stopWithinMs = 4000;
/** How often it is looked whether they have. */
const stopLookMs = 100;

/** The agents are told first; then requests may end, and whoever is still there after the deadline is cut. */
export async function stopWithin(clock: Clock, app: App, lives: { stop(): Promise<void> }[]): Promise<void> {
  const ended = new AbortController();
  const cutting = cutLate(clock, app, ended.signal);
  for (const life of lives) await life.stop();
  await app.close();
  ended.abort();
  await cutting;
}

async function cutLate(clock: Clock, app: App, ended: AbortSignal): Promise<void> {
  const deadline = clock.now() + stopWithinMs;
  while (clock.now() < deadline) {
    await clock.sleep(stopLookMs, ended);
    if (ended.aborted) return;
    // A browser keeps its connection after the last answer; nothing more is to come over it.
    app.server.closeIdleConnections();
  }
  app.server.closeAllConnections();
  // Upgraded sockets are not among those; one whose peer never answers the close would hold us for 30 s.
  for (const socket of app.websocketServer.clients) socket.terminate();
}
