/**
 * The API over HTTP. Every answer is bounded and passes a schema; every failure becomes a Problem with the server's code,
 * sentence and request id. Redirects are not followed, so the token goes to no other place.
 */
import { z } from "zod";
import { outcomeOf } from "./exit-codes.ts";
import type { Login } from "./login.ts";
import { explainFailure } from "./network-failures.ts";
import { Problem, usageProblem } from "./problem.ts";
import { visible } from "./text.ts";

/** A document of the API, as it came and as its schema has it. */
export interface Answer<T> {
  /** What `--json` prints. */
  raw: unknown;
  data: T;
}

export type Query = Readonly<Record<string, string | number | undefined>>;

/** Far above the largest page of the API. */
const maxAnswerBytes = 32 * 1024 * 1024;
/** A log line has at most 16,384 characters; JSON may spell each with six. */
const maxLineChars = 256 * 1024;
/** Above what any route waits for an agent. */
const answerWithinMs = 90_000;

const failure = z.object({
  code: z.string().max(200),
  message: z.string().max(8000),
  request_id: z.string().max(200).optional(),
  details: z.unknown().optional(),
});

export class Client {
  readonly url: string;
  private readonly token: string;
  private readonly interrupted: AbortSignal;

  constructor(login: Login, interrupted: AbortSignal) {
    this.url = login.url;
    this.token = login.token;
    this.interrupted = interrupted;
  }

  get<T>(path: string, schema: z.ZodType<T>, query: Query = {}): Promise<Answer<T>> {
    return this.ask("GET", withQuery(path, query), schema);
  }

  post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<Answer<T>> {
    return this.ask("POST", path, schema, body);
  }

  /** For what is answered with nothing. */
  async delete(path: string, body?: unknown): Promise<void> {
    await this.ask("DELETE", path, z.unknown(), body);
  }

  /** A body of lines, read as it comes. @throws Problem when it breaks off */
  async *lines(path: string): AsyncGenerator<string> {
    const answer = await this.fetch("GET", path, undefined, this.interrupted);
    let rest = "";
    try {
      const decoder = new TextDecoder();
      for await (const chunk of answer.body ?? []) {
        rest += decoder.decode(chunk, { stream: true });
        const lines = rest.split("\n");
        rest = lines.pop() ?? "";
        if (rest.length > maxLineChars) throw unexpected("a line is too long");
        yield* lines;
      }
    } catch (error) {
      throw error instanceof Problem ? error : explainFailure(error, this.url);
    }
    if (rest !== "") yield rest;
  }

  /** What a WebSocket to a path of the API needs. */
  socketOf(path: string): { url: string; headers: Record<string, string> } {
    return { url: `${this.url.replace(/^http/, "ws")}${path}`, headers: this.headers() };
  }

  private headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}` };
  }

  private async ask<T>(
    method: string,
    path: string,
    schema: z.ZodType<T>,
    body?: unknown,
  ): Promise<Answer<T>> {
    const signal = AbortSignal.any([this.interrupted, AbortSignal.timeout(answerWithinMs)]);
    const answer = await this.fetch(method, path, body, signal);
    const raw = answer.status === 204 ? null : parseJson(await readText(answer, this.url));
    const parsed = schema.safeParse(raw);
    if (parsed.success) return { raw, data: parsed.data };
    const [issue] = parsed.error.issues;
    throw unexpected(`${issue?.path.join(".") || "the document"}: ${issue?.message ?? "is wrong"}`);
  }

  private async fetch(method: string, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { ...this.headers(), accept: "application/json" };
    if (body !== undefined) headers["content-type"] = "application/json";
    let answer: Response;
    try {
      answer = await fetch(`${this.url}${path}`, {
        ...{ method, headers, signal, redirect: "manual" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw explainFailure(error, this.url);
    }
    if (answer.ok) return answer;
    throw await problemOf(answer, this.url);
  }
}

/** The path with what is set of the query. */
export function withQuery(path: string, query: Query): string {
  const set = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") set.set(name, String(value));
  }
  return set.size === 0 ? path : `${path}?${set}`;
}

/**
 * One part of a path, whatever is in it.
 * @throws Problem for `.` and `..`: in a URL they are ways up, however they are written
 */
export function segment(text: string): string {
  if (text === "." || text === "..") throw usageProblem(`"${text}" is the name of nothing.`);
  return encodeURIComponent(text);
}

async function readText(answer: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body ?? []) {
      size += chunk.byteLength;
      if (size > maxAnswerBytes) throw unexpected("it is too large");
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof Problem ? error : explainFailure(error, url);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unexpected("it is no JSON");
  }
}

async function problemOf(answer: Response, url: string): Promise<Problem> {
  const { status } = answer;
  if (status >= 300 && status < 400) {
    const target = URL.parse(answer.headers.get("location") ?? "", url);
    const to = target && target.origin !== url ? ` Is its address ${visible(target.origin)}?` : "";
    return new Problem("invalid", "cli.redirected", `${url} sends us elsewhere.${to}`);
  }
  const text = await readText(answer, url).catch(() => "");
  const parsed = failure.safeParse(tryJson(text));
  if (!parsed.success) {
    const message = `${url} answered ${status} without a reason. Is it restic-manager, and does the proxy in front reach it?`;
    return new Problem(outcomeOf(status), "cli.no_reason", message);
  }
  const { code, message, request_id: requestId, details } = parsed.data;
  return new Problem(outcomeOf(status), code, message, { requestId: requestId ?? null, details });
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const unexpected = (why: string): Problem =>
  new Problem(
    "internal",
    "cli.unexpected_answer",
    `The server's answer is not what this rmctl understands (${visible(why)}). Is one of the two much older?`,
  );
