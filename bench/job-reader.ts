/** A browser's socket on a job's stream. Each line's text begins with the instant at which it was sent. */
import { once } from "node:events";
import { WebSocket } from "ws";

/**
 * Follows a job until the socket is closed.
 * @param onLine gets the instant at which a line was sent, on this program's clock
 */
export async function followJob(
  port: number,
  jobId: string,
  cookie: string,
  onLine: (sentAt: number) => void,
): Promise<WebSocket> {
  const origin = `http://127.0.0.1:${port}`;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/jobs/${jobId}/stream`, {
    headers: { cookie, origin },
  });
  socket.on("message", (data) => {
    const message = JSON.parse(data.toString()) as { type: string; lines?: { text: string }[] };
    for (const { text } of message.lines ?? []) onLine(Number.parseFloat(text));
  });
  await once(socket, "open");
  return socket;
}
