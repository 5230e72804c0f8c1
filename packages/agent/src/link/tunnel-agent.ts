/**
 * A connection without TLS through a proxy's CONNECT, which Node's own agents make for https only. For the WebSocket of
 * an http address: as an ordinary request through a proxy it would lose its upgrade (RFC 6455, 4.1).
 */
import { Agent as HttpAgent, request } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import type { ProxyChoice } from "./proxy-choice.ts";

export class TunnelAgent extends HttpAgent {
  readonly #proxy: ProxyChoice;
  readonly #target: string;
  readonly #timeoutMs: number;

  /** `target` is where every connection leads to. */
  constructor(proxy: ProxyChoice, target: URL, timeoutMs: number) {
    super({ keepAlive: false });
    this.#proxy = proxy;
    this.#target = `${target.hostname}:${target.port || "80"}`;
    this.#timeoutMs = timeoutMs;
  }

  /** Calls back with an open tunnel, or with an error as Node's own agents have for a refused one. */
  override createConnection(
    _options: Parameters<HttpAgent["createConnection"]>[0],
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { url } = this.#proxy;
    const start = url.protocol === "https:" ? httpsRequest : request;
    const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    const headers = {
      host: this.#target,
      ...(login === ":" ? {} : { "proxy-authorization": `Basic ${Buffer.from(login).toString("base64")}` }),
    };
    const asked = start({
      ...{ method: "CONNECT", host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port || undefined },
      ...{ path: this.#target, headers, agent: false, timeout: this.#timeoutMs },
    });
    const fail = (error: Error) => callback?.(error, undefined as unknown as Duplex);
    const refuse = (statusCode: number) => {
      asked.destroy();
      fail(
        Object.assign(new Error("the proxy refused the tunnel"), { code: "ERR_PROXY_TUNNEL", statusCode }),
      );
    };
    asked.once("connect", ({ statusCode = 0 }, socket) => {
      if (statusCode !== 200) {
        socket.destroy();
        return refuse(statusCode);
      }
      socket.setTimeout(0);
      callback?.(null, socket);
    });
    asked.once("response", ({ statusCode = 0 }) => refuse(statusCode));
    asked.once("timeout", () => asked.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
    asked.on("error", fail);
    asked.end();
  }
}
