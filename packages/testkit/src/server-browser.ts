/** A page that watches a job: the live stream's WebSocket with what came over it. */
import type { LogLine } from "@restic-manager/protocol";
import { WebSocket } from "ws";
import type { TestClient } from "./server-client.ts";
import type { TestServer } from "./server-start.ts";

/** A message of the stream, as far as tests look into it. */
export interface StreamMessage {
  type: "job" | "progress" | "log" | "lagged" | "end";
  job?: { status: string };
  lines?: LogLine[];
  /** The first and last line that a slow reader misses. */
  from?: number;
  to?: number;
}

export class TestBrowser {
  readonly received: StreamMessage[] = [];
  readonly socket: WebSocket;
  closedWith: number | null = null;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => this.received.push(JSON.parse(String(data)) as StreamMessage));
    socket.on("close", (code) => {
      this.closedWith = code;
    });
    socket.on("error", () => undefined);
  }

  /** The numbers of all lines in the order in which they came. */
  get lineNumbers(): number[] {
    return this.received.flatMap((message) => (message.lines ?? []).map((line) => line.n));
  }

  get ended(): boolean {
    return this.received.at(-1)?.type === "end";
  }
}

/** Opens a job's stream as a page of our own does. @throws Error with the status when the upgrade is refused */
export async function watchJob(
  server: TestServer,
  jobId: string,
  options: { from?: number; client?: TestClient; origin?: string } = {},
): Promise<TestBrowser> {
  const { cookie } = options.client ?? server.admin;
  const url = `${server.url.replace("http", "ws")}/api/jobs/${jobId}/stream?from=${options.from ?? 1}`;
  const socket = new WebSocket(url, { headers: { cookie }, origin: options.origin ?? server.url });
  const browser = new TestBrowser(socket);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return browser;
}
