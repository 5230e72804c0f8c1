/** What the rest of the server asks of a host's agent, wherever it is connected: here, or at another replica. */
import type { Readable } from "node:stream";
import {
  backendKindOf,
  type FsEntries,
  type FsList,
  type RepositoryAccess,
  type RepositoryTested,
} from "@restic-manager/protocol";
import type { Clock } from "../../platform/clock.ts";
import { newId } from "../../platform/random.ts";
import type { Host } from "../hosts/hosts.ts";
import type { DumpQuestion } from "./agent-link.dumps.ts";
import type { AgentHub } from "./agent-link.hub.ts";
import type { Neighbours } from "./agent-link.neighbours.ts";
import { tooOldToTest } from "./agent-link.refusals.ts";
import { type AnswerTo, type Question, testSeconds } from "./agent-link.requests.ts";

/** What can be asked about a snapshot. */
type TreeQuestion = Exclude<Question, FsList>;

export interface QuestionsDeps {
  clock: Clock;
  hub: Pick<AgentHub, "isHere" | "isConnected" | "ask" | "openDump" | "pushConfiguration">;
  /** Null when this server is alone. */
  neighbours: Neighbours | null;
}

export class AgentQuestions {
  private readonly deps: QuestionsDeps;

  constructor(deps: QuestionsDeps) {
    this.deps = deps;
  }

  /**
   * Looks into a folder of the host. An error of the host's own, such as a folder that is not there, is in the answer.
   * @throws AppError `hosts.offline`, `hosts.elsewhere`, `agent.no_answer` or `agent.too_many_requests`
   */
  listFolder(hostId: string, question: Pick<FsList, "path" | "after" | "limit">): Promise<FsEntries> {
    return this.ask(hostId, { type: "fs.list", request_id: this.newId(), ...question });
  }

  /**
   * Looks into a snapshot through the host's agent. What is wrong with the question is in the answer.
   * @param gone aborts when nobody waits for the answer any more: the agent is told
   * @throws AppError as listFolder, `agent.too_old` or `agent.left`
   */
  readTree<Q extends TreeQuestion>(
    hostId: string,
    question: Omit<Q, "request_id">,
    gone?: AbortSignal,
  ): Promise<AnswerTo<Q>> {
    return this.ask(hostId, { ...question, request_id: this.newId() } as Q, gone);
  }

  /**
   * Lets the host open a repository once, with an access that may not be stored yet. What restic said is in the answer.
   * @throws AppError as listFolder, or `agent.too_old`
   */
  async testRepository(host: Host, access: RepositoryAccess): Promise<RepositoryTested> {
    if (this.deps.hub.isConnected(host.id) && !knowsKind(host, access)) throw tooOldToTest();
    const request_id = this.newId();
    return this.ask(host.id, { type: "repository.test", request_id, access, timeout_seconds: testSeconds });
  }

  /**
   * Bytes of a snapshot, read by the host's agent as fast as they are taken. Resolves with the first of them; the stream
   * breaks with an error when they are not the whole. `gone` aborts when nobody wants them any more.
   * @throws AppError `hosts.offline`, `hosts.elsewhere`, `agent.no_answer`, `downloads.too_many`, `downloads.too_long`, or what the agent says
   */
  openDump(hostId: string, question: DumpQuestion, gone: AbortSignal): Promise<Readable> {
    return this.answererOf(hostId).openDump(hostId, question, gone);
  }

  /** Resolves when the agent, if it is connected, was sent what is stored for its host now. @throws AppError `hosts.elsewhere` */
  async deliver(hostId: string): Promise<void> {
    const { hub, neighbours } = this.deps;
    await hub.pushConfiguration(hostId);
    if (!hub.isHere(hostId)) await neighbours?.deliver(hostId);
  }

  private ask<Q extends Question>(hostId: string, question: Q, gone?: AbortSignal): Promise<AnswerTo<Q>> {
    return this.answererOf(hostId).ask(hostId, question, gone);
  }

  /** Of a host that is nowhere, either says so. */
  private answererOf(hostId: string): Pick<AgentHub, "ask" | "openDump"> {
    const { hub, neighbours } = this.deps;
    return neighbours && !hub.isHere(hostId) ? neighbours : hub;
  }

  private newId(): string {
    return newId(this.deps.clock.now());
  }
}

function knowsKind({ backendKinds }: Host, { location }: RepositoryAccess): boolean {
  const kind = backendKindOf(location);
  return backendKinds !== null && kind !== undefined && backendKinds.includes(kind);
}
