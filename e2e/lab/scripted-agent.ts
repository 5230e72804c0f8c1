/**
 * An agent that does what a test says: enrolled through the real API, speaking the real protocol over a real
 * socket, but without restic. It keeps unacknowledged events and sends them again, as an agent must.
 */
import {
  type AgentMessage,
  type DurableEvent,
  encodeMessage,
  type JobFinished,
  type LogLine,
  parseServerFrame,
  protocolRange,
  type ServerMessage,
} from "@restic-manager/protocol";
import { WebSocket } from "ws";
import { until } from "../../tools/demo/children.ts";
import type { Lab } from "./lab.ts";

type CommandRun = Extract<ServerMessage, { type: "command.run" }>;
/** A durable event before it has its place in the stream. */
type Draft = DurableEvent extends infer E ? (E extends DurableEvent ? Omit<E, "seq"> : never) : never;

const streamId = "01KAQ2TZY8X6W4V2T0S9R7Q5PN";

export class ScriptedAgent {
  hostId = "";
  private readonly lab: Lab;
  private bearer = "";
  private socket: WebSocket | null = null;
  private nextSeq = 1;
  private ackedSeq = 0;
  private unacknowledged: DurableEvent[] = [];
  private readonly commands: CommandRun[] = [];
  private running: CommandRun | null = null;

  constructor(lab: Lab) {
    this.lab = lab;
  }

  async enrol(hostname: string): Promise<void> {
    const { token } = await this.lab.api.post<{ token: string }>("/api/enrollment-tokens", {
      hostname,
      repo_url: "/srv/restic",
      initial_paths: ["/etc"],
    });
    const machine = { hostname, os: "linux", arch: "x64", agent_version: "0.1.0", restic_version: "0.19.1" };
    const answer = await this.lab.api.post<{ host_id: string; bearer: string }>("/api/agents/enroll", {
      token,
      ...machine,
    });
    this.hostId = answer.host_id;
    this.bearer = answer.bearer;
  }

  /** Dials until the server answers the hello, then sends again what it has not acknowledged. */
  async connect(): Promise<void> {
    await until("a welcome", 30_000, () => this.dial());
    for (const event of this.unacknowledged) this.write(event);
  }

  private dial(): Promise<boolean> {
    const socket = new WebSocket(`${this.lab.url.replace("http", "ws")}/ws/agent`, {
      headers: { authorization: `Bearer ${this.bearer}` },
      perMessageDeflate: false,
    });
    this.socket = socket;
    return new Promise((resolve) => {
      socket.on("error", () => resolve(false));
      socket.on("close", () => resolve(false));
      socket.on("open", () => this.write(this.hello()));
      socket.on("message", (data) => {
        const frame = parseServerFrame(String(data));
        if (frame.ok) this.receive(frame.message);
        if (frame.ok && frame.message.type === "welcome") {
          this.keepAlive(socket, frame.message.heartbeat_interval_ms);
          resolve(true);
        }
      });
    });
  }

  /** Without its heartbeats a host counts as away after a minute and a half, whatever its socket does. */
  private keepAlive(socket: WebSocket, everyMs: number): void {
    const beating = setInterval(() => socket.ping(), everyMs);
    socket.on("close", () => clearInterval(beating));
  }

  private hello(): AgentMessage {
    const { running } = this;
    return {
      type: "hello",
      protocol: protocolRange,
      ...{ agent_version: "0.1.0", restic_version: "0.19.1", restic_problem: null },
      ...{ hostname: "scripted", os: "linux", arch: "x64", machine_id: "m", boot_id: "b" },
      sent_at: new Date().toISOString(),
      stream_id: streamId,
      jobs: running ? [{ job_id: running.job_id, attempt: running.attempt, state: "running" }] : [],
    };
  }

  private receive(message: ServerMessage): void {
    if (message.type === "command.run") this.commands.push(message);
    const acked =
      message.type === "event.ack" ? message.seq : message.type === "welcome" ? message.acked_seq : 0;
    this.ackedSeq = Math.max(this.ackedSeq, acked);
    this.unacknowledged = this.unacknowledged.filter((event) => event.seq > this.ackedSeq);
  }

  /** Accepts the next command and reports its start. */
  async begin(kind: "init" | "backup"): Promise<string> {
    const command = await until(`the command to ${kind}`, 20_000, async () => {
      return this.commands.find((candidate) => candidate.spec.kind === kind);
    });
    this.commands.splice(this.commands.indexOf(command), 1);
    this.running = command;
    const { job_id, attempt } = command;
    this.write({ type: "command.ack", job_id, attempt, accepted: true });
    this.tell({ type: "job.started", job_id, attempt, at: new Date().toISOString() });
    return job_id;
  }

  log(lines: LogLine[]): void {
    this.tell({ type: "log.stream", ...this.about(), lines });
  }

  async finish(logLines: number): Promise<void> {
    const end: Pick<JobFinished, "status" | "error" | "exit_code" | "summary"> = {
      status: "succeeded",
      error: null,
      exit_code: 0,
      summary: null,
    };
    const at = new Date().toISOString();
    this.tell({ type: "job.finished", ...this.about(), at, ...end, log_lines: logLines });
    this.running = null;
    await this.settled();
  }

  /** Until the server has committed everything that was told. */
  async settled(): Promise<void> {
    await until("the acknowledgement", 60_000, async () => this.unacknowledged.length === 0);
  }

  disconnect(): void {
    this.socket?.terminate();
  }

  private about(): { job_id: string; attempt: number } {
    if (this.running === null) throw new Error("no job is running");
    const { job_id, attempt } = this.running;
    return { job_id, attempt };
  }

  private tell(draft: Draft): void {
    const event = { ...draft, seq: this.nextSeq++ } as DurableEvent;
    this.unacknowledged.push(event);
    this.write(event);
  }

  private write(message: AgentMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(encodeMessage(message));
  }
}
