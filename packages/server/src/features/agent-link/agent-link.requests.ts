/**
 * Questions to an agent and their answers: matched by the request's id, each with a time limit. Nothing is kept of one
 * that was answered, given up or whose connection ended. A late answer is dropped.
 */
import type { FsEntries } from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";

/** How long a person waits for a folder before it is better to say so. */
const answerWithinMs = 20_000;
/** Questions of all browsers to one host that may wait together. */
const maxWaiting = 16;

interface Waiting {
  hostId: string;
  answered: AbortController;
  resolve(answer: FsEntries): void;
  reject(error: AppError): void;
}

export class AgentRequests {
  private readonly clock: Clock;
  private readonly waiting = new Map<string, Waiting>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /**
   * Waits for the answer to a question that `send` puts.
   * @throws AppError `hosts.offline`, `agent.no_answer` or `agent.too_many_requests`
   */
  async ask(request: { hostId: string; id: string; send: () => boolean }): Promise<FsEntries> {
    const { hostId, id } = request;
    const here = [...this.waiting.values()].filter((other) => other.hostId === hostId);
    if (here.length >= maxWaiting)
      throw new AppError(
        "unavailable",
        "agent.too_many_requests",
        "This host is asked too much at once. Wait a moment and try again.",
      );
    const { promise, resolve, reject } = Promise.withResolvers<FsEntries>();
    const answered = new AbortController();
    this.waiting.set(id, { hostId, answered, resolve, reject });
    try {
      if (!request.send()) throw away();
      void this.giveUpLate(id, answered.signal);
      return await promise;
    } finally {
      this.waiting.delete(id);
      answered.abort();
    }
  }

  /** An answer came. Only the host that was asked can give it. */
  answer(hostId: string, answer: FsEntries): void {
    const asked = this.waiting.get(answer.request_id);
    if (asked?.hostId === hostId) asked.resolve(answer);
  }

  /** The host's connection ended: nobody will answer any more. */
  abandon(hostId: string): void {
    for (const asked of this.waiting.values()) if (asked.hostId === hostId) asked.reject(away());
  }

  private async giveUpLate(id: string, answered: AbortSignal): Promise<void> {
    await this.clock.sleep(answerWithinMs, answered);
    if (answered.aborted) return;
    const message =
      "The host's agent did not answer in time. It may be busy or older than this server: try again.";
    this.waiting.get(id)?.reject(new AppError("timeout", "agent.no_answer", message));
  }
}

export const away = (): AppError =>
  new AppError("conflict", "hosts.offline", "The host is offline. Start its agent, then try again.");
