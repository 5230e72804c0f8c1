/**
 * Which proxy leads to an address, by the environment that every program of the machine is given: HTTPS_PROXY,
 * HTTP_PROXY and NO_PROXY, as restic reads them, so that both go the same way. Invariant: what is shown of a proxy
 * never has its user or password.
 */
import { BlockList, isIP } from "node:net";
import { AgentError } from "../platform/errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type ProxyChoice = {
  /** With user and password: for the connection only. */
  url: URL;
  /** Without them: `http://proxy.example.org:3128`. */
  shown: string;
  /** The variable that named it. */
  variable: string;
};

/**
 * The proxy for an http or https address; undefined = the way is direct.
 * @throws AgentError `connect.proxy_invalid`, without the variable's value
 */
export function chooseProxy(env: Environment, target: URL): ProxyChoice | undefined {
  const secure = target.protocol === "https:" || target.protocol === "wss:";
  const names = secure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy", "HTTP_PROXY"];
  const variable = names.find((name) => (env[name] ?? "") !== "");
  if (variable === undefined || goesAround(env.no_proxy || env.NO_PROXY || "", target)) return undefined;
  const value = (env[variable] ?? "").trim();
  const url = URL.parse(value.includes("://") ? value : `http://${value}`);
  if (url === null || url.hostname === "" || !/^https?:$/.test(url.protocol) || !isDecodable(url))
    throw new AgentError(
      "connect.proxy_invalid",
      `${variable} must be the address of an HTTP proxy, such as http://proxy.example.org:3128; special characters of a password are written as %40 and so on.`,
    );
  return { url, shown: `${url.protocol}//${url.host}`, variable };
}

function isDecodable(url: URL): boolean {
  try {
    return !/[\r\n]/.test(decodeURIComponent(`${url.username}${url.password}`));
  } catch {
    return false;
  }
}

/** NO_PROXY: names with all below them, addresses, CIDRs, each with a port if wanted; `*` is everything. */
function goesAround(noProxy: string, target: URL): boolean {
  const host = target.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const secure = target.protocol === "https:" || target.protocol === "wss:";
  const port = target.port || (secure ? "443" : "80");
  // As Go does: a proxy elsewhere could not reach this machine's loopback.
  if (host === "localhost" || isWithin(host, "127.0.0.0/8") || host === "::1") return true;
  const entries = noProxy.split(",").map((entry) => entry.trim().toLowerCase());
  return entries.some((entry) => {
    if (entry === "") return false;
    if (entry === "*" || entry === host || isWithin(host, entry)) return true;
    const [, name = entry, wantedPort = port] = /^(.*?):(\d+)$/.exec(isIP(entry) === 6 ? "" : entry) ?? [];
    const bare = name.replace(/^\[|\]$/g, "").replace(/^\*?\./, "");
    return wantedPort === port && (host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`)));
  });
}

function isWithin(host: string, cidr: string): boolean {
  const family = isIP(host);
  const [network = "", prefix = ""] = cidr.split("/");
  const bits = Number(prefix);
  if (family === 0 || isIP(network) !== family || !/^\d{1,3}$/.test(prefix)) return false;
  if (bits > (family === 4 ? 32 : 128)) return false;
  const kind = family === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  list.addSubnet(network, bits, kind);
  return list.check(host, kind);
}
