/**
 * `GET /api/jobs/{id}/stream?from=N`: a job live in a browser. Nothing is buffered for a reader: each has a position
 * in the stored log and is sent the next lines only when its socket has taken the ones before, so that a
 * browser that never reads costs one open socket and nothing else, and never slows the agent.
 */
import type { WebSocket } from "@fastify/websocket";
import type { LogLine } from "@restic-manager/protocol";
import type { Logger } from "pino";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import type { Db } from "../../platform/db/db.ts";
import type { EventBus } from "../../platform/events.ts";
import type { App } from "../../platform/http/route.ts";
import { eventsMissed, replicaLost } from "../../platform/replicas/replicas.ts";
import { getJob, isFinal, type Job, jobChanged, jobLogGrew, jobProgressed } from "./job.ts";
import { countLogLines, readLog } from "./jobs.log.ts";
import type { LiveProgress } from "./jobs.progress.ts";
import { toWireJob } from "./jobs.wire.ts";

/** So much may wait in a socket before the next lines are read from the database. */
const maxUnsentBytes = 512 * 1024;
/** A reader whose socket takes nothing for this long is let go; its page dials again when it lives. */
const stalledAfterMs = 60_000;
const drainPollMs = 100;
/** A reverse proxy ends what is silent, many after a minute, and a check may say nothing for an hour. */
const pingEveryMs = 25_000;
/** A reader whose socket was full for so long is slow, not merely busy with the lines of before. */
const slowAfterMs = 5000;
/** A slow reader that is further behind than this is told so and goes on near the end. */
const maxBehindLines = 5000;
const keptLines = 1000;

export interface StreamDeps {
  db: Db;
  clock: Clock;
  bus: EventBus;
  log: Logger;
  progress: LiveProgress;
}

export function registerJobStream(app: App, deps: StreamDeps): void {
  const query = z.object({ from: z.coerce.number().int().min(1).default(1) });
  app.route({
    method: "GET",
    url: "/api/jobs/:jobId/stream",
    schema: {
      summary: "A job live: its status, progress and log from a line on (WebSocket).",
      querystring: query,
    },
    config: { policy: "viewer" },
    handler: (_request, reply) =>
      reply.code(426).send({ code: "jobs.upgrade_required", message: "Connect with WebSocket." }),
    wsHandler: (socket, request) => {
      const { jobId } = request.params as { jobId: string };
      const { from } = request.query as z.infer<typeof query>;
      void new JobReader(deps, socket, jobId, from).run();
    },
  });
}

class JobReader {
  private readonly deps: StreamDeps;
  private readonly socket: WebSocket;
  private readonly jobId: string;
  private nextLine: number;
  private readonly gone = new AbortController();
  /** What changed since it was last sent; the loop sends the newest of each, never a backlog. */
  private jobDirty = true;
  private progressDirty = true;
  private logDirty = true;
  /** Whether the socket was full for long since the last lines went out. */
  private slow = false;
  private wake: () => void = () => undefined;
  /** Everything is sent and the job goes on: the next lines may pass from the commit to the socket. */
  private caughtUp = false;

  constructor(deps: StreamDeps, socket: WebSocket, jobId: string, fromLine: number) {
    this.deps = deps;
    this.socket = socket;
    this.jobId = jobId;
    this.nextLine = fromLine;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    this.socket.on("close", () => this.gone.abort());
    this.socket.on("error", () => this.gone.abort());
    this.gone.signal.addEventListener("abort", () => this.wake());
    const off = this.subscribe();
    void this.keepAlive();
    try {
      while (!this.gone.signal.aborted && !(await this.sendOnce())) await this.changed();
      this.socket.close(1000);
    } catch (error) {
      this.deps.log.warn({ err: error, jobId: this.jobId }, "a live view ended");
      this.socket.close(1011, "the job can't be read");
    } finally {
      for (const end of off) end();
    }
  }

  /** Something passes both ways at least so often: browsers answer a ping by themselves. Never rejects. */
  private async keepAlive(): Promise<void> {
    for (;;) {
      await this.deps.clock.sleep(pingEveryMs, this.gone.signal);
      if (this.gone.signal.aborted) return;
      this.socket.ping();
    }
  }

  private subscribe(): (() => void)[] {
    const { bus } = this.deps;
    const mine = (mark: () => void) => (event: { jobId: string }) => {
      if (event.jobId !== this.jobId) return;
      mark();
      this.wake();
    };
    const pass = (event: { jobId: string; lines: LogLine[] | null }) => {
      if (event.jobId !== this.jobId || (event.lines && this.passOn(event.lines))) return;
      this.logDirty = true;
      this.wake();
    };
    const lookAgain = () => {
      this.jobDirty = true;
      this.logDirty = true;
    };
    const missed = () => {
      lookAgain();
      this.wake();
    };
    return [
      bus.on(jobChanged, mine(lookAgain)),
      bus.on(eventsMissed, missed),
      bus.on(replicaLost, missed),
      bus.on(
        jobProgressed,
        mine(() => {
          this.progressDirty = true;
        }),
      ),
      bus.on(jobLogGrew, pass),
    ];
  }

  /** Sends what changed. @returns whether everything is sent for good: the job ended and its log is complete */
  private async sendOnce(): Promise<boolean> {
    if (!(await this.drained())) return false;
    if (this.jobDirty) await this.sendJob();
    if (this.progressDirty) this.sendProgress();
    if (this.logDirty) {
      this.logDirty = false;
      this.caughtUp = false;
      await this.sendLog();
      // Whether this was the end is asked only after the lines, so that none can follow the end.
      const job = await getJob(this.deps.db, this.jobId);
      this.caughtUp = !isFinal(job.status);
      if (isFinal(job.status) && !this.logDirty && (await this.isComplete(job))) {
        await this.sendJob();
        this.send({ type: "end" });
        return true;
      }
    }
    return false;
  }

  /**
   * Sends just committed lines without reading them back, when they are the next ones and the socket takes them.
   * @returns false when they must be read from the stored log in their turn
   */
  private passOn(lines: LogLine[]): boolean {
    const first = lines[0];
    const last = lines.at(-1);
    if (!first || !last) return true;
    const next = this.caughtUp && !this.logDirty && first.n === this.nextLine;
    if (!next || this.socket.bufferedAmount > maxUnsentBytes) return false;
    this.send({ type: "log", first: first.n, lines });
    this.nextLine = last.n + 1;
    return true;
  }

  private async isComplete(job: Job): Promise<boolean> {
    if (job.logPrunedAt !== null) return true;
    // Its lines come before its end, so all that will ever come is here: fewer than the agent says when it was full.
    return this.nextLine > (await countLogLines(this.deps.db, job.id));
  }

  private async sendJob(): Promise<void> {
    this.jobDirty = false;
    const job = await getJob(this.deps.db, this.jobId);
    this.send({ type: "job", job: toWireJob(job, this.deps.progress.find(job.id)) });
  }

  private sendProgress(): void {
    this.progressDirty = false;
    const progress = this.deps.progress.find(this.jobId);
    if (progress) this.send({ type: "progress", progress });
  }

  private async sendLog(): Promise<void> {
    while (await this.drained()) {
      if (this.slow) await this.skipAhead();
      const lines = await readLog(this.deps.db, this.jobId, this.nextLine);
      const first = lines[0];
      const last = lines.at(-1);
      if (!first || !last) return;
      // Lines that the server never got, as after a restore of its database: a reader that waits for them waits for ever.
      if (first.n > this.nextLine) this.send({ type: "lagged", from: this.nextLine, to: first.n - 1 });
      this.send({ type: "log", first: first.n, lines });
      this.nextLine = last.n + 1;
    }
  }

  /** Nobody reads 5,000 lines that passed long ago in a live view: the download has them. */
  private async skipAhead(): Promise<void> {
    this.slow = false;
    const stored = await countLogLines(this.deps.db, this.jobId);
    if (stored - this.nextLine < maxBehindLines) return;
    const next = stored - keptLines + 1;
    this.send({ type: "lagged", from: this.nextLine, to: next - 1 });
    this.nextLine = next;
  }

  private send(message: unknown): void {
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Waits until the socket took enough. @returns false when the reader is gone or stalled for good */
  private async drained(): Promise<boolean> {
    const { clock } = this.deps;
    const since = clock.now();
    while (this.socket.bufferedAmount > maxUnsentBytes && !this.gone.signal.aborted) {
      this.slow ||= clock.now() - since > slowAfterMs;
      if (clock.now() - since > stalledAfterMs) {
        this.socket.terminate();
        return false;
      }
      await clock.sleep(drainPollMs, this.gone.signal);
    }
    return !this.gone.signal.aborted;
  }

  private changed(): Promise<void> {
    if (this.jobDirty || this.progressDirty || this.logDirty || this.gone.signal.aborted)
      return Promise.resolve();
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}
