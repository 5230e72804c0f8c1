/**
 * A job live, over the API's WebSocket, from a line on. A broken connection is opened anew from the first missing line, so
 * no line is lost or doubled, until the job is over or the server is away for too long. Never cancels anything.
 */
import { z } from "zod";
import type { Client } from "./client.ts";
import { openSocket } from "./platform/socket.ts";
import type { World } from "./platform/world.ts";
import { Problem } from "./problem.ts";
import * as wire from "./wire.ts";

const line = wire.logLine;
/** The messages of the stream; others are of a newer server and are passed over. */
const message = z.discriminatedUnion("type", [
  z.object({ type: z.literal("job"), job: wire.job }),
  z.object({ type: z.literal("log"), lines: z.array(line) }),
  z.object({ type: z.literal("progress"), progress: wire.progress }),
  /** These lines are not told live; the stored log may have them. */
  z.object({ type: z.literal("lagged"), from: z.number().int(), to: z.number().int() }),
  z.object({ type: z.literal("end") }),
]);
type Message = z.infer<typeof message>;

/** What is told of a job, with the document that it came as. */
export type Told = Message & { raw: unknown };

/** Far above the largest batch of lines that the server sends. */
const maxFrameChars = 64 * 1024 * 1024;
/** So much may wait for a slow terminal or pipe before the connection is let go and opened again later. */
const maxWaiting = 10_000;
/** A connection that is silent for so long may be dead: the job is asked for by itself. */
const silentMs = 30_000;
const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** A server that restarts is back by then. */
const awayForMs = 10 * 60_000;

/**
 * Everything of a job from its first line to its end, then returns.
 * @throws Problem of the server for a job that can't be read, `cli.stream_lost` when the server stays away
 */
export async function* followJob(client: Client, world: World, jobId: string): AsyncGenerator<Told> {
  const next = { line: 1 };
  let pauseMs = firstPauseMs;
  let goodAt = world.now();
  for (;;) {
    // Asked first: a WebSocket that is refused does not say why.
    const reached = await isThere(client, jobId);
    if (reached) {
      for await (const told of connection(client, world, jobId, next)) {
        goodAt = world.now();
        pauseMs = firstPauseMs;
        yield told;
        if (told.type === "end") return;
      }
    }
    if (world.interrupted.aborted)
      throw new Problem("interrupted", "cli.interrupted", "Interrupted; the job goes on.");
    if (world.now() - goodAt > awayForMs) {
      const sentence = `${client.url} is away for too long. The job goes on; follow it again later.`;
      throw new Problem("unavailable", "cli.stream_lost", sentence);
    }
    await world.sleep(pauseMs, world.interrupted);
    pauseMs = Math.min(longestPauseMs, pauseMs * 2);
  }
}

/** False while the server is away. @throws Problem for a job that is not there or not ours to see */
async function isThere(client: Client, jobId: string): Promise<boolean> {
  try {
    await client.get(`/api/jobs/${jobId}`, wire.job);
    return true;
  } catch (error) {
    const passing = ["unavailable", "timeout", "rate_limited"];
    if (error instanceof Problem && passing.includes(error.outcome) && error.code !== "cli.certificate")
      return false;
    throw error;
  }
}

/** One connection, until it closes, is silent for too long, or leaves a line out. */
async function* connection(
  client: Client,
  world: World,
  jobId: string,
  next: { line: number },
): AsyncGenerator<Told> {
  const socket = openSocket(client.socketOf(`/api/jobs/${jobId}/stream?from=${next.line}`));
  const frames = new Frames(socket, world.interrupted);
  try {
    for (;;) {
      const frame = await frames.next(world);
      if (frame === null) return;
      const told = parse(frame);
      if (told === null) continue;
      if (told.type === "log") {
        const fresh = told.lines.filter(({ n }) => n >= next.line);
        const [first] = fresh;
        if (first === undefined) continue;
        if (first.n > next.line) return;
        next.line = (fresh.at(-1)?.n ?? first.n) + 1;
        yield { ...told, lines: fresh };
      } else {
        if (told.type === "lagged") next.line = Math.max(next.line, told.to + 1);
        yield told;
      }
    }
  } finally {
    socket.close();
  }
}

/** Never throws: a frame that makes no sense is none. */
export function parse(frame: string): Told | null {
  if (frame.length > maxFrameChars) return null;
  try {
    const raw: unknown = JSON.parse(frame);
    const parsed = message.safeParse(raw);
    return parsed.success ? { ...parsed.data, raw } : null;
  } catch {
    return null;
  }
}

/** The frames of a socket in their order, for one reader that takes its time. */
class Frames {
  private readonly waiting: string[] = [];
  private closed = false;
  private wake: () => void = () => undefined;

  constructor(socket: WebSocket, interrupted: AbortSignal) {
    const end = () => {
      this.closed = true;
      this.wake();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.waiting.push(data);
      if (this.waiting.length > maxWaiting) socket.close();
      this.wake();
    };
    socket.onclose = end;
    socket.onerror = end;
    interrupted.addEventListener("abort", end, { once: true });
  }

  /** Null when there will be no more, or was none for too long. */
  async next(world: World): Promise<string | null> {
    if (this.waiting.length === 0 && !this.closed) {
      const heard = new AbortController();
      const frame = new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      await Promise.race([frame, world.sleep(silentMs, heard.signal)]);
      heard.abort();
    }
    return this.waiting.shift() ?? null;
  }
}
