/**
 * Questions to an agent and their answers: matched by the request's id, each with a time limit. Nothing is kept of one
 * that was answered, given up or whose connection ended. A late answer is dropped.
 */
import type {
  FsEntries,
  FsList,
  RepositoryTest,
  RepositoryTested,
  ServerMessage,
  TreeCounts,
  TreeMatches,
  TreePage,
  TreeQuestion,
  TreeVersionList,
} from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { AppError } from "../../platform/errors.ts";

/** How long restic may take to open a repository that is tried; a person waits for it. */
export const testSeconds = 15;
/** Until the agent has started restic, stopped it and said so. */
const testGraceSeconds = 10;
/** Questions of all browsers to one host that may wait together. */
const maxWaiting = 16;

/** Every question with its answer. */
interface Answers {
  "fs.list": FsEntries;
  "repository.test": RepositoryTested;
  "tree.list": TreePage;
  "tree.search": TreeMatches;
  "tree.versions": TreeVersionList;
  "tree.count": TreeCounts;
}
export type Question = FsList | RepositoryTest | TreeQuestion;
export type AnswerTo<Q extends Question> = Answers[Q["type"]];
type Answer = Answers[keyof Answers];

const answerTypes: { [T in keyof Answers]: Answers[T]["type"] } = {
  "fs.list": "fs.entries",
  "repository.test": "repository.tested",
  "tree.list": "tree.page",
  "tree.search": "tree.matches",
  "tree.versions": "tree.version_list",
  "tree.count": "tree.counts",
};

/** How long a person waits for a folder before it is better to say so; one of a snapshot may take restic a while. */
const answerWithinMs: Record<keyof Answers, number> = {
  "fs.list": 20_000,
  "repository.test": (testSeconds + testGraceSeconds) * 1000,
  "tree.list": 60_000,
  "tree.search": 60_000,
  "tree.versions": 60_000,
  "tree.count": 60_000,
};

interface Waiting {
  hostId: string;
  question: Question;
  resolve(answer: Answer): void;
  reject(error: AppError): void;
}

interface Request<Q extends Question> {
  hostId: string;
  question: Q;
  /** @returns false when the host is not connected */
  send(message: ServerMessage): boolean;
  /** Aborts when nobody waits for the answer any more. */
  gone?: AbortSignal | undefined;
}

export class AgentRequests {
  private readonly clock: Clock;
  private readonly waiting = new Map<string, Waiting>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /**
   * Puts a question and waits for its answer. An agent that looks into a snapshot in vain is told so.
   * @throws AppError `hosts.offline`, `agent.no_answer`, `agent.too_old`, `agent.too_many_requests` or `agent.left`
   */
  async ask<Q extends Question>(request: Request<Q>): Promise<AnswerTo<Q>> {
    const { hostId, question, send, gone } = request;
    const id = question.request_id;
    const here = [...this.waiting.values()].filter((other) => other.hostId === hostId);
    if (here.length >= maxWaiting) throw tooMany();
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const over = new AbortController();
    this.waiting.set(id, { hostId, question, resolve, reject });
    const giveUp = (error: AppError) => {
      if (question.type.startsWith("tree.")) send({ type: "tree.cancel", request_id: id });
      reject(error);
    };
    try {
      if (gone?.aborted) throw left();
      if (!send(question)) throw away();
      gone?.addEventListener("abort", () => giveUp(left()), { signal: over.signal });
      void this.waitFor(answerWithinMs[question.type], over.signal, () => giveUp(silent()));
      // `answer` has looked at the type.
      return (await promise) as AnswerTo<Q>;
    } finally {
      this.waiting.delete(id);
      over.abort();
    }
  }

  /** An answer came. Only the host that was asked can give it, and only of the kind that was asked for. */
  answer(hostId: string, answer: Answer): void {
    const asked = this.waiting.get(answer.request_id);
    if (asked?.hostId === hostId && answerTypes[asked.question.type] === answer.type) asked.resolve(answer);
  }

  /** The host's agent does not know questions of this type. */
  refuse(hostId: string, type: string): void {
    for (const asked of this.waiting.values())
      if (asked.hostId === hostId && asked.question.type === type) asked.reject(tooOld());
  }

  /** The host's connection ended: nobody will answer any more. */
  abandon(hostId: string): void {
    for (const asked of this.waiting.values()) if (asked.hostId === hostId) asked.reject(away());
  }

  private async waitFor(ms: number, over: AbortSignal, then: () => void): Promise<void> {
    await this.clock.sleep(ms, over);
    if (!over.aborted) then();
  }
}

export const away = (): AppError =>
  new AppError("conflict", "hosts.offline", "The host is offline. Start its agent, then try again.");

const tooMany = (): AppError =>
  new AppError(
    "unavailable",
    "agent.too_many_requests",
    "This host is asked too much at once. Wait a moment and try again.",
  );

const silent = (): AppError =>
  new AppError(
    "timeout",
    "agent.no_answer",
    "The host's agent did not answer in time. It may be busy or older than this server: try again.",
  );

export const tooOld = (): AppError =>
  new AppError(
    "conflict",
    "agent.too_old",
    "The host's agent is older than this server. Update it, then try again.",
  );

/** Nobody sees it. */
const left = (): AppError =>
  new AppError("unavailable", "agent.left", "Nobody waits for the answer any more.");
