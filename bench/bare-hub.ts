/**
 * The least that a WebSocket hub can do with our frames, as the line that the server is measured against: welcomes,
 * acknowledges at once, remembers who was heard when, relays log lines to readers. No checks, no database.
 */
import { createServer } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";

/** The frames as they come from our own benchmark: not checked. */
interface Frame {
  type: string;
  seq?: number;
  job_id?: string;
  lines?: unknown[];
}

export function runBareHub(port: number, heartbeatIntervalMs: number): void {
  const readers = new Map<string, WebSocket[]>();
  const lastSeenAt = new Map<WebSocket, number>();
  const http = createServer();
  const hub = new WebSocketServer({ server: http, perMessageDeflate: false });
  hub.on("connection", (socket, request) => {
    const jobId = /^\/api\/jobs\/(\w+)\/stream/.exec(request.url ?? "")?.[1];
    if (jobId !== undefined) readers.set(jobId, [...(readers.get(jobId) ?? []), socket]);
    socket.on("error", () => undefined);
    socket.on("close", () => lastSeenAt.delete(socket));
    socket.on("ping", () => lastSeenAt.set(socket, Date.now()));
    socket.on("message", (data) => {
      const frame = JSON.parse(data.toString()) as Frame;
      lastSeenAt.set(socket, Date.now());
      if (frame.type === "hello") socket.send(JSON.stringify(welcome(heartbeatIntervalMs)));
      if (frame.seq === undefined) return;
      socket.send(JSON.stringify({ type: "event.ack", seq: frame.seq }));
      const { lines } = frame;
      const message = JSON.stringify({ type: "log", lines });
      for (const reader of readers.get(frame.job_id ?? "") ?? []) reader.send(message);
    });
  });
  http.listen(port, "127.0.0.1", 4096, () => process.stdout.write("listening\n"));
}

const welcome = (heartbeatIntervalMs: number) => ({
  type: "welcome",
  protocol: 2,
  server_version: "0.0.0",
  host_id: "01BENCHH000000000000000000",
  host_name: "bare",
  heartbeat_interval_ms: heartbeatIntervalMs,
  acked_seq: 0,
  sent_at: new Date().toISOString(),
});
