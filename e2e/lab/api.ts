/** The server's HTTP API as a script uses it: JSON in, JSON or text out, the session's cookie kept. */

/** An answer that is not 2xx, with the stable code of the refusal. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(what: string, status: number, text: string) {
    super(`${what} was answered ${status}: ${text.slice(0, 400)}`);
    this.status = status;
    this.code = /"code":"([^"]+)"/.exec(text)?.[1] ?? "";
  }
}

export class LabApi {
  /** The session, as a `Cookie` header carries it. */
  cookie = "";
  private readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  get = async <T>(path: string): Promise<T> => JSON.parse(await this.getText(path)) as T;
  getText = (path: string): Promise<string> => this.call("GET", path);
  post = <T>(path: string, body: unknown = {}): Promise<T> => this.send<T>("POST", path, body);
  put = <T>(path: string, body: unknown): Promise<T> => this.send<T>("PUT", path, body);
  delete = (path: string, body: unknown = {}): Promise<string> =>
    this.call("DELETE", path, JSON.stringify(body));

  private async send<T>(method: string, path: string, body: unknown): Promise<T> {
    return JSON.parse(await this.call(method, path, JSON.stringify(body))) as T;
  }

  private async call(method: string, path: string, body?: string): Promise<string> {
    const type = body === undefined ? {} : { "content-type": "application/json" };
    const response = await fetch(this.url + path, {
      method,
      headers: { ...type, cookie: this.cookie },
      ...(body === undefined ? {} : { body }),
    });
    const [session] = response.headers.getSetCookie().filter((cookie) => cookie.startsWith("rm_session="));
    if (session) this.cookie = session.split(";")[0] ?? "";
    const text = await response.text();
    if (!response.ok) throw new Refused(`${method} ${path}`, response.status, text);
    return text;
  }
}
