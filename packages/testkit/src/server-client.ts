/** A browser's and a script's way into a test server: keeps its cookie, follows no redirect, never throws on a status. */
import { find, parseHtml } from "./html.ts";

export interface TestAnswer {
  status: number;
  headers: Headers;
  text: string;
  /** The text parsed when the answer is JSON, else empty. */
  body: Record<string, unknown>;
}

export class TestClient {
  /** `name=value` of the session; empty for an anonymous client. */
  cookie = "";
  private readonly url: () => string;
  private formToken: string | null = null;

  /** @param url read at each request: a restarted server has another port */
  constructor(url: () => string) {
    this.url = url;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<TestAnswer> {
    return this.request("GET", path, { headers });
  }

  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<TestAnswer> {
    const init = jsonBody(body);
    return this.request("POST", path, { ...init, headers: { ...init.headers, ...headers } });
  }

  put(path: string, body?: unknown): Promise<TestAnswer> {
    return this.request("PUT", path, jsonBody(body));
  }

  delete(path: string, body?: unknown): Promise<TestAnswer> {
    return this.request("DELETE", path, jsonBody(body));
  }

  /** Sends a page's form as a browser does: same origin, urlencoded, with the session's form token. */
  async form(path: string, fields: Record<string, string> = {}): Promise<TestAnswer> {
    this.formToken ??= this.cookie ? await this.readFormToken() : "";
    return this.request("POST", path, {
      headers: { origin: this.url(), "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ ...fields, csrf_token: this.formToken }).toString(),
    });
  }

  /** The raw answer, for bodies that are read as a stream. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...(this.cookie ? { cookie: this.cookie } : {}), ...init.headers };
    return fetch(`${this.url()}${path}`, { redirect: "manual", ...init, headers });
  }

  private async request(method: string, path: string, init: RequestInit): Promise<TestAnswer> {
    const answer = await this.fetch(path, { method, ...init });
    const session = answer.headers.getSetCookie().find((cookie) => cookie.startsWith("rm_session="));
    if (session) this.cookie = session.split(";")[0] ?? "";
    const text = await answer.text();
    const isJson = answer.headers.get("content-type")?.startsWith("application/json") && text !== "";
    const body = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: answer.status, headers: answer.headers, text, body };
  }

  private async readFormToken(): Promise<string> {
    const page = parseHtml(await (await this.fetch("/settings/account")).text());
    return find(page, "input[name=csrf_token]").getAttribute("value") ?? "";
  }
}

const jsonBody = (body: unknown): RequestInit =>
  body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
