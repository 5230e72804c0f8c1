/**
 * One machine's socket while it waits: the proof first and within seconds, then silence until something is decided.
 * Whatever else it says ends it. The socket learns of a decision by looking again at the row, which is the truth.
 */
import type { WebSocket } from "@fastify/websocket";
import {
  encodePending,
  maxPendingFrameBytes,
  type PendingServerMessage,
  parsePendingAgentFrame,
} from "@restic-manager/protocol";
import { toInstant } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";
import { collect, type Proved, prove } from "./announce.ts";
import type { PendingHostsDeps } from "./pending-hosts.ts";

/** From the upgrade to the proof. */
const proofTimeoutMs = 10_000;
/** Below the minute after which proxies cut a silent connection. */
const pingIntervalMs = 25_000;

/** Where the socket comes from, and by what name it reached us. */
export interface Peer {
  address: string;
  ownName: string;
}

export class WaitingSocket {
  /** Null until the machine has proved its key. */
  pendingId: string | null = null;
  private readonly deps: PendingHostsDeps & { certPin: string | null };
  private readonly socket: WebSocket;
  private readonly peer: Peer;
  private readonly over = new AbortController();
  private readonly proved = new AbortController();
  private readonly onProved: (socket: WaitingSocket) => void;
  private proof = "";
  /** One look after the other: each may make a bearer, and only the last of those is good. */
  private looking: Promise<void> = Promise.resolve();

  /** @param onProved called when the machine waits, before it is told so */
  constructor(
    deps: PendingHostsDeps & { certPin: string | null },
    socket: WebSocket,
    peer: Peer,
    onProved: (socket: WaitingSocket) => void,
  ) {
    this.deps = deps;
    this.socket = socket;
    this.peer = peer;
    this.onProved = onProved;
  }

  /** Attaches the listeners; call it before anything is awaited, so that no frame is missed. */
  open(): void {
    this.socket.on("error", () => this.socket.terminate());
    this.socket.on("close", () => this.over.abort());
    this.socket.once("message", (data, isBinary) => {
      this.proved.abort();
      this.socket.on("message", () => this.close(1008, "who waits says nothing more"));
      void this.take(isBinary ? "" : data.toString()).catch(() => this.close(1011, "the proof failed"));
    });
    void this.awaitProof();
    void this.keepAlive();
  }

  /** Looks at what was decided, and passes it on. */
  look(): Promise<void> {
    this.looking = this.looking.catch(() => undefined).then(() => this.lookOnce());
    return this.looking;
  }

  private async lookOnce(): Promise<void> {
    const { pendingId, proof } = this;
    if (pendingId === null || this.over.signal.aborted) return;
    const outcome = await collect(this.deps, { pendingId, proof });
    if (outcome.state !== "waiting") this.tell(outcome);
  }

  refuse(error: AppError, retry = false): void {
    const { code, message } = error;
    this.send({ type: "pending.refused", code, message, retry });
    this.close(4400, code);
  }

  close(code: number, reason: string): void {
    this.over.abort();
    this.socket.close(code, reason);
  }

  private async take(frame: string): Promise<void> {
    const parsed = parsePendingAgentFrame(frame.length > maxPendingFrameBytes ? "" : frame);
    if (!parsed.ok) return this.refuse(proofMissing());
    const { pending_id, server_name, signature } = parsed.message;
    const input = { pendingId: pending_id, serverName: server_name, signature, ...this.peer };
    const outcome = await prove(this.deps, input);
    if (this.over.signal.aborted) return;
    if (outcome.state === "waiting") {
      this.pendingId = pending_id;
      this.proof = outcome.proof;
      this.onProved(this);
    }
    this.tell(outcome);
    // It may have been decided between the proof and now.
    if (outcome.state !== "waiting") return;
    void this.expireAt(outcome.expiresAt);
    await this.look();
  }

  private tell(outcome: Proved): void {
    if (outcome.state === "waiting") {
      this.send({ type: "pending.waiting", expires_at: toInstant(outcome.expiresAt) });
    } else if (outcome.state === "refused") {
      // Another nonce is all that is needed.
      this.refuse(outcome.error, outcome.error.code === "pending.nonce_used");
    } else {
      const { hostId: host_id, hostName: host_name, bearer } = outcome;
      this.send({ type: "pending.accepted", host_id, host_name, bearer, cert_pin: this.deps.certPin });
      this.close(1000, "accepted");
    }
  }

  private send(message: PendingServerMessage): void {
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(encodePending(message));
  }

  private async awaitProof(): Promise<void> {
    await this.deps.clock.sleep(proofTimeoutMs, AbortSignal.any([this.proved.signal, this.over.signal]));
    if (!this.proved.signal.aborted && !this.over.signal.aborted) this.refuse(proofMissing());
  }

  private async expireAt(at: number): Promise<void> {
    await this.deps.clock.sleep(Math.max(0, at - this.deps.clock.now()), this.over.signal);
    await this.look().catch(() => this.close(1011, "the announcement can't be read"));
  }

  /** A connection whose other side is gone looks alive to TCP for hours. */
  private async keepAlive(): Promise<void> {
    let answered = true;
    this.socket.on("pong", () => {
      answered = true;
    });
    for (;;) {
      await this.deps.clock.sleep(pingIntervalMs, this.over.signal);
      if (this.over.signal.aborted) return;
      if (!answered) return this.socket.terminate();
      answered = false;
      this.socket.ping();
    }
  }
}

const proofMissing = (): AppError =>
  new AppError(
    "invalid",
    "pending.proof_missing",
    "The first message must be a proof, within ten seconds. Announce the machine with an agent of this version.",
  );
