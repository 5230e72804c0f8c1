/**
 * One JSON call to the server before there is a bearer: by token, or by announcing. Whatever goes wrong is a sentence;
 * no answer of somebody else is taken for the server's.
 */
import { apiError } from "@restic-manager/protocol";
import type { z } from "zod";
import { AgentError } from "../platform/errors.ts";
import { redact } from "../platform/redact.ts";
import { explainAnswer, explainError } from "./explain.ts";

const CALL_TIMEOUT_MS = 30_000;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** The server said no, by its own code. */
export class ServerRefusal extends AgentError {
  readonly status: number;
  /** When it wants to be asked again, if it said so. */
  readonly retryAfterMs: number | null;

  constructor(code: string, message: string, answer: { status: number; retryAfterMs: number | null }) {
    super(code, message);
    this.status = answer.status;
    this.retryAfterMs = answer.retryAfterMs;
  }
}

/** The server's address as people type it, without query. Throws AgentError `enrol.invalid_server`. */
export function parseServer(server: string): URL {
  const url = URL.parse(server);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new AgentError(
      "enrol.invalid_server",
      "The server's address must begin with https:// (or http:// for a server on this machine).",
    );
  if (url.username !== "" || url.password !== "")
    throw new AgentError("enrol.invalid_server", "The server's address must not contain a user or password.");
  return new URL(url.pathname, url.origin);
}

/** As it goes into agent.yaml: without trailing slash. */
export const writtenServer = (server: URL): string => server.href.replace(/\/$/, "");

/** A sentence when others can read what is said on the way. */
export function explainUnencrypted(server: URL): string | undefined {
  if (server.protocol !== "http:" || LOOPBACK.test(server.hostname)) return undefined;
  return "The connection to the server is not encrypted: give it an https address.";
}

export type ServerCall<T> = {
  fetch: typeof fetch;
  server: URL;
  /** Below the server's address. */
  path: string;
  body: unknown;
  answer: z.ZodType<T>;
  /** Kept out of a refusal's sentence. */
  secrets: readonly string[];
};

/**
 * Posts and reads the answer; `date` is the server's clock. Throws ServerRefusal, or AgentError `connect.…` when no
 * restic-manager server answered.
 */
export async function callServer<T>(call: ServerCall<T>): Promise<{ answer: T; date: string | null }> {
  const target = new URL(`${call.server.pathname.replace(/\/+$/, "")}${call.path}`, call.server);
  let response: Response;
  let text: string;
  try {
    response = await call.fetch(target, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(call.body),
      redirect: "manual",
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (cause) {
    throw explainError(cause, { target, proxy: undefined });
  }
  const { status, headers } = response;
  const body = parseJson(text);
  const answer = call.answer.safeParse(body);
  if (response.ok && answer.success) return { answer: answer.data, date: headers.get("date") };
  const refusal = apiError.safeParse(body);
  if (refusal.success) {
    const { code, message } = refusal.data;
    const retryAfterMs = readSeconds(headers.get("retry-after"));
    throw new ServerRefusal(code, `The server refused: ${redact(message, call.secrets)}`, {
      status,
      retryAfterMs,
    });
  }
  const [location, contentType] = [headers.get("location"), headers.get("content-type")];
  throw explainAnswer({ status, location, contentType, body: text }, { target, proxy: undefined });
}

const readSeconds = (text: string | null): number | null =>
  text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : null;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
