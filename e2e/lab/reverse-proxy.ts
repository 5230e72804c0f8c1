/**
 * The real Caddy and nginx in front of a laboratory's server, with the files of deploy/ as people copy them: only
 * names, ports and certificates are put in. They run as child processes in the laboratory's folder.
 */
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join, resolve } from "node:path";
import { freePort } from "../../packages/testkit/src/free-port.ts";
import { startChild, until } from "../../tools/demo/children.ts";
import { findProgram, type Lab, plainEnvironment } from "./lab.ts";

const root = resolve(import.meta.dirname, "../..");
const tlsFolder = join(root, "packages/agent/fixtures/tls/link");

export interface ReverseProxy {
  name: "caddy" | "nginx";
  /** `https://localhost:PORT`. */
  url: string;
  /** The file of the authority that signed its certificate. */
  caFile: string;
  /** Where it could keep what passes through. */
  folder: string;
}

export interface ProxyWishes {
  /** How long it is patient with a connection that says nothing, in place of its own limit. */
  idleSeconds?: number;
  /** In place of the laboratory's server; it need not be one. */
  upstreamPort?: number;
}

/** Starts Caddy with deploy/Caddyfile and its own internal authority. */
export const startCaddy = (lab: Lab, wishes: ProxyWishes = {}): Promise<ReverseProxy> =>
  runCaddy(lab, "deploy/Caddyfile", {
    settings: { RM_UPSTREAM: `127.0.0.1:${wishes.upstreamPort ?? lab.port}` },
    idleSeconds: wishes.idleSeconds,
  });

/** The same with deploy/compose/Caddyfile, in front of replicas at these addresses. */
export const startCaddyForReplicas = (lab: Lab, addresses: readonly string[]): Promise<ReverseProxy> =>
  runCaddy(lab, "deploy/compose/Caddyfile", { settings: { RM_REPLICAS: addresses.join(" ") } });

async function runCaddy(
  lab: Lab,
  site: string,
  { settings, idleSeconds }: { settings: NodeJS.ProcessEnv; idleSeconds?: number | undefined },
): Promise<ReverseProxy> {
  const [program, port] = [await findProgram("caddy"), await freePort()];
  const folder = await lab.makeFolder(`caddy-${port}`);
  const url = `https://localhost:${port}`;
  const limits = idleSeconds === undefined ? "" : `servers {\ntimeouts {\nidle ${idleSeconds}s\n}\n}\n`;
  const options = `${limits}admin off\nskip_install_trust\nauto_https disable_redirects\nlocal_certs`;
  const file = join(folder, "Caddyfile");
  await writeFile(
    file,
    `{\n${options}\nstorage file_system ${folder}/storage\n}\nimport ${join(root, site)}\n`,
  );
  const env = { ...plainEnvironment(), RM_SITE: url, XDG_CONFIG_HOME: folder, ...settings };
  const args = ["run", "--config", file, "--adapter", "caddyfile"];
  lab.keep(startChild(program, args, { env, logFile: join(folder, "caddy.log") }));
  const caFile = join(folder, "storage/pki/authorities/local/root.crt");
  const proxy: ReverseProxy = { name: "caddy", url, caFile, folder };
  await untilAnswers(proxy);
  return proxy;
}

/** Starts nginx with deploy/nginx.conf and a certificate of the tests. */
export async function startNginx(lab: Lab, wishes: ProxyWishes = {}): Promise<ReverseProxy> {
  const { idleSeconds, upstreamPort = lab.port } = wishes;
  const [program, port] = [await findProgram("nginx"), await freePort()];
  const folder = await lab.makeFolder(`nginx-${port}`);
  for (const name of ["server.pem", "key.pem"]) await copyFile(join(tlsFolder, name), join(folder, name));
  let site = await readFile(join(root, "deploy/nginx.conf"), "utf8");
  const changes: [string, string][] = [
    ["    listen 80;\n    listen [::]:80;\n", `    listen 127.0.0.1:${await freePort()};\n`],
    ["    listen 443 ssl;\n    listen [::]:443 ssl;\n", `    listen 127.0.0.1:${port} ssl;\n`],
    ["/etc/ssl/backup.example.org.pem", join(folder, "server.pem")],
    ["/etc/ssl/private/backup.example.org.key", join(folder, "key.pem")],
    ["http://127.0.0.1:8080", `http://127.0.0.1:${upstreamPort}`],
  ];
  if (idleSeconds !== undefined)
    changes.push(["proxy_read_timeout 1h", `proxy_read_timeout ${idleSeconds}s`]);
  for (const [written, put] of changes) {
    if (!site.includes(written)) throw new Error(`deploy/nginx.conf has no "${written}" any more`);
    site = site.replaceAll(written, put);
  }
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${folder}/temp-${kind};`).join("\n");
  // The workers of a master that is root would be another user, who can't enter the laboratory's folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const main = `${user}\nworker_processes 1;\npid ${folder}/pid;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${site}\n}\n`;
  const file = join(folder, "nginx.conf");
  await writeFile(file, main);
  const args = ["-c", file, "-p", folder, "-e", "stderr", "-g", "daemon off;"];
  lab.keep(startChild(program, args, { env: plainEnvironment(), logFile: join(folder, "nginx.log") }));
  const proxy: ReverseProxy = {
    ...{ name: "nginx" as const, url: `https://localhost:${port}`, folder },
    caFile: join(tlsFolder, "authority.pem"),
  };
  await untilAnswers(proxy);
  return proxy;
}

export interface ProxyAnswer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
}

export interface ProxyRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** The client's own address, of 127.0.0.0/8. */
  from?: string;
}

/** One request through the proxy, from an address of one's choice; its certificate is checked. */
export async function ask(proxy: ReverseProxy, path: string, wish: ProxyRequest = {}): Promise<ProxyAnswer> {
  const { promise, resolve: done, reject } = Promise.withResolvers<ProxyAnswer>();
  const { method = "GET", headers = {}, body, from = "127.0.0.1" } = wish;
  const ca = await readFile(proxy.caFile);
  const options = { method, headers, ca, localAddress: from, family: 4, agent: false as const };
  const outgoing = request(new URL(path, proxy.url), options, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    response.on("error", reject);
    response.on("end", () => done({ status: response.statusCode ?? 0, headers: response.headers, text }));
  });
  outgoing.on("error", reject);
  outgoing.end(body);
  return promise;
}

async function untilAnswers(proxy: ReverseProxy): Promise<void> {
  await until(`${proxy.name}'s start`, 30_000, async () => {
    return (await ask(proxy, "/readyz").catch(() => null)) !== null;
  });
}
