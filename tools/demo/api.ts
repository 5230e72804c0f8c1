/** The server's HTTP API, as the demo needs it: JSON in, JSON out, the session's cookie kept. */

export class ApiClient {
  readonly url: string;
  private cookie = "";

  constructor(url: string) {
    this.url = url;
  }

  get = <T>(path: string): Promise<T> => this.call<T>("GET", path);
  post = <T>(path: string, body: unknown = {}): Promise<T> => this.call<T>("POST", path, body);

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), cookie: this.cookie },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const [session] = response.headers.getSetCookie().filter((cookie) => cookie.startsWith("rm_session="));
    if (session) this.cookie = session.split(";")[0] ?? "";
    const text = await response.text();
    if (!response.ok)
      throw new Error(`${method} ${path} was answered ${response.status}: ${text.slice(0, 300)}`);
    return JSON.parse(text) as T;
  }
}
