/**
 * One connection of a machine that waits to be accepted: the proof of its key, then silence until the server says what
 * was decided. Nothing is written here.
 */
import {
  encodePending,
  type PendingAgentMessage,
  type PendingServerMessage,
  parsePendingServerFrame,
} from "@restic-manager/protocol";
import type { WebSocket } from "ws";
import { type Clock, slept } from "../platform/clock.ts";

export type PendingEnd =
  | { kind: "decided"; message: Exclude<PendingServerMessage, { type: "pending.waiting" }> }
  /** The connection ended before anything was decided. */
  | { kind: "closed"; proved: boolean };

/** The server pings every 25 s: without one for so long the connection is none. */
const SILENT_MS = 90_000;

/**
 * Sends the proof on an open connection and waits. Never rejects; the connection is over when it resolves.
 * @param onWaiting called when the server has taken the proof; `expiresAt` is when it stops waiting
 */
export async function waitPending(
  clock: Clock,
  socket: WebSocket,
  proof: PendingAgentMessage,
  onWaiting: (expiresAt: string) => void,
): Promise<PendingEnd> {
  const { promise, resolve } = Promise.withResolvers<PendingEnd>();
  const over = new AbortController();
  let proved = false;
  let heardMs = clock.monotonicMs();
  const heard = () => {
    heardMs = clock.monotonicMs();
  };
  socket.on("ping", heard);
  socket.on("error", () => socket.terminate());
  socket.on("close", () => resolve({ kind: "closed", proved }));
  socket.on("message", (data, isBinary) => {
    heard();
    const parsed = parsePendingServerFrame(isBinary ? "" : String(data));
    // A newer server may say more than we know.
    if (!parsed.ok) return;
    const { message } = parsed;
    if (message.type !== "pending.waiting") return resolve({ kind: "decided", message });
    proved = true;
    onWaiting(message.expires_at);
  });
  const watch = async () => {
    while (await slept(clock, SILENT_MS, over.signal))
      if (clock.monotonicMs() - heardMs >= SILENT_MS) socket.terminate();
  };
  const watching = watch();
  if (socket.readyState !== socket.OPEN) resolve({ kind: "closed", proved });
  else socket.send(encodePending(proof));
  const end = await promise;
  over.abort();
  await watching;
  socket.terminate();
  return end;
}
