/**
 * deploy/compose: that the file holds together, and its Caddyfile under the real Caddy in front of two replicas on one
 * PostgreSQL. There is no Docker engine here, so the containers themselves are not made; docs/user/compose.md says so.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { parse } from "yaml";
import { z } from "zod";
import { settings } from "../packages/server/src/config.ts";
import { freePort } from "../packages/testkit/src/free-port.ts";
import { until } from "../tools/demo/children.ts";
import { LabHost } from "./lab/host.ts";
import { admin } from "./lab/lab.ts";
import { type Replica, ReplicaLab } from "./lab/replicas.ts";
import { ask, type ProxyRequest, type ReverseProxy, startCaddyForReplicas } from "./lab/reverse-proxy.ts";

const run = promisify(execFile);
const folder = resolve(import.meta.dirname, "../deploy/compose");
const text = (name: string): Promise<string> => readFile(join(folder, name), "utf8");

const names = z.array(z.string());
const environment = z.record(z.string(), z.string());
const check = z.strictObject({
  test: names,
  interval: z.string(),
  timeout: z.string(),
  start_period: z.string(),
  retries: z.number(),
});
/** What we use of https://github.com/compose-spec/compose-spec; any other word is a mistake. */
const container = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  restart: z.literal("unless-stopped"),
  user: z.string().optional(),
  read_only: z.boolean().optional(),
  cap_drop: names.optional(),
  security_opt: names.optional(),
  tmpfs: names.optional(),
  ports: z.array(z.string().regex(/^\d+:\d+$/)).default([]),
  environment,
  volumes: z.array(z.string().regex(/^[^:]+:\/[^:]+(:ro)?$/)),
  secrets: names.default([]),
  networks: z.union([names, z.record(z.string(), z.strictObject({ ipv4_address: z.ipv4() }))]),
  depends_on: names.default([]),
  stop_grace_period: z.string().optional(),
  shm_size: z.string().optional(),
  healthcheck: check.optional(),
});
const composeFile = z
  .looseObject({
    name: z.string(),
    services: z.record(z.string(), container),
    networks: z.record(
      z.string(),
      z.strictObject({
        ipam: z.strictObject({
          config: z.array(z.strictObject({ subnet: z.cidrv4(), ip_range: z.cidrv4() })),
        }),
      }),
    ),
    volumes: z.record(z.string(), z.null()),
    secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
  })
  .refine((file) => {
    const known = ["name", "services", "networks", "volumes", "secrets"];
    return Object.keys(file).every((key) => known.includes(key) || key.startsWith("x-"));
  });
const readCompose = async () => composeFile.parse(parse(await text("compose.yaml"), { merge: true }));

describe("compose.yaml", () => {
  it("names only networks, volumes, secrets and services that are there, and uses each", async () => {
    const { services, networks, volumes, secrets } = await readCompose();
    const all = Object.values(services);
    const networksOf = all.flatMap((one) =>
      Array.isArray(one.networks) ? one.networks : Object.keys(one.networks),
    );
    const sources = all.flatMap((one) => one.volumes.map((volume) => volume.split(":")[0] ?? ""));
    const unique = (list: string[]) => [...new Set(list)].toSorted();
    expect(unique(networksOf)).toEqual(unique(Object.keys(networks)));
    expect(unique(sources.filter((source) => !source.startsWith(".")))).toEqual(unique(Object.keys(volumes)));
    expect(unique(all.flatMap((one) => one.secrets))).toEqual(unique(Object.keys(secrets)));
    for (const { depends_on } of all)
      expect(Object.keys(services)).toEqual(expect.arrayContaining(depends_on));
    for (const source of sources.filter((one) => one.startsWith(".")))
      expect(existsSync(join(folder, source)), source).toBe(true);
    for (const { build } of all)
      if (build) expect(existsSync(join(folder, build.context, build.dockerfile))).toBe(true);
  });

  it("publishes Caddy's ports and no other", async () => {
    const { services } = await readCompose();
    const published = Object.entries(services).flatMap(([name, { ports }]) =>
      ports.map((port) => `${name} ${port}`),
    );
    expect(published).toEqual(["caddy 80:80", "caddy 443:443"]);
  });

  it("asks for nothing that .env.example does not name, and holds no password itself", async () => {
    const compose = await text("compose.yaml");
    const known = [...(await text(".env.example")).matchAll(/^(\w+)=(.*)$/gm)];
    const asked = [...compose.matchAll(/(?<!\$)\$\{(\w+)(:[-?])?/g)];
    const optional = asked.filter(([, , rule]) => rule === ":-").map(([, name]) => name);
    for (const [, name] of asked) expect([...known.map(([, one]) => one), ...optional]).toContain(name);
    expect(known.find(([, name]) => name === "POSTGRES_PASSWORD")?.[2]).toBe("");
    expect(compose).not.toMatch(/postgres:\/\/[^@\s]*:[^@\s]*@/);
  });

  it("gives the replicas settings that the server has, Caddy's own address, and each its own URL", async () => {
    const { services, networks } = await readCompose();
    const replicas = Object.entries(services).filter(([, one]) => one.build);
    expect(replicas.map(([name]) => name)).toEqual(["replica-1", "replica-2"]);
    const [caddy] = Object.values(services.caddy?.networks ?? {}) as { ipv4_address: string }[];
    for (const [name, { environment: given, secrets, healthcheck }] of replicas) {
      for (const setting of Object.keys(given).filter((key) => key.startsWith("RM_")))
        expect(settings.map((one) => one.name)).toContain(setting);
      expect(given).toMatchObject({
        RM_REPLICA_URL: `http://${name}:8080`,
        RM_TRUSTED_PROXY: caddy?.ipv4_address,
        RM_SECRET_KEY_FILE: `/run/secrets/${secrets[0]}`,
      });
      expect(healthcheck?.test.at(-1)).toContain("/readyz");
    }
    expect(services.caddy?.environment.RM_REPLICAS).toBe(replicas.map(([name]) => `${name}:8080`).join(" "));
    // Docker gives nobody else an address of the first half.
    const [pool] = networks.inside?.ipam.config ?? [];
    expect(pool).toEqual({ subnet: "172.31.213.0/24", ip_range: "172.31.213.128/25" });
    expect(caddy?.ipv4_address).toMatch(/^172\.31\.213\.\d{1,2}$/);
  });

  it("starts what its Dockerfile puts there, as somebody who is not root", async () => {
    const dockerfile = await text("Dockerfile");
    const stages = [...dockerfile.matchAll(/^FROM (\S+)(?: AS (\S+))?$/gm)].map(([, , name]) => name);
    for (const [, from] of dockerfile.matchAll(/^COPY --from=(\S+)/gm)) expect(stages).toContain(from);
    expect(dockerfile).toMatch(/^USER 10001:10001$/m);
    expect(dockerfile).toMatch(/^EXPOSE 8080$/m);
    expect(dockerfile).toContain("/server/ /opt/restic-manager/");
    expect(dockerfile).toContain('ENTRYPOINT ["/opt/restic-manager/restic-manager-server"]');
  });
});

describe("two replicas behind the Caddy of deploy/compose", () => {
  let replicas: ReplicaLab;
  let one: Replica;
  let two: Replica;
  let proxy: ReverseProxy;
  const hosts: LabHost[] = [];
  let cookie: string;

  beforeAll(async () => {
    replicas = await ReplicaLab.create();
    const behind = { RM_TRUSTED_PROXY: "127.0.0.1" };
    one = await replicas.add({ name: "one", settings: behind });
    two = await replicas.add({ name: "two", settings: behind });
    const addresses = [one, two].map(({ port }) => `127.0.0.1:${port}`);
    proxy = await startCaddyForReplicas(replicas.lab, addresses);
    cookie = replicas.lab.api.cookie;
  });
  afterAll(() => replicas?.close());

  const get = (path: string, wish: ProxyRequest = {}) =>
    ask(proxy, path, { ...wish, headers: { cookie, ...wish.headers } });
  const json = { "content-type": "application/json" };
  const signIn = () =>
    ask(proxy, "/api/auth/login", { method: "POST", headers: json, body: JSON.stringify(admin) });

  /** Hosts whose agent's last word at that replica was that it connected. */
  async function agentsAt(replica: Replica): Promise<string[]> {
    const last = new Map<string, string>();
    for (const line of (await readFile(replica.logFile, "utf8")).split("\n")) {
      const { msg, hostId } = /^\{/.test(line) ? (JSON.parse(line) as { msg: string; hostId?: string }) : {};
      if (hostId !== undefined && /^agent (dis)?connected$/.test(msg ?? "")) last.set(hostId, msg ?? "");
    }
    return [...last].filter(([, msg]) => msg === "agent connected").map(([hostId]) => hostId);
  }

  const isConnected = async (hostId: string): Promise<boolean> =>
    [...(await agentsAt(one)), ...(await agentsAt(two))].includes(hostId);

  /** What came before Caddy had looked at both again comes once more. */
  async function comeOnceMore(host: LabHost): Promise<void> {
    await host.killAgent();
    await until("its end", 30_000, async () => !(await isConnected(host.id)));
    await host.startAgent();
    await until("its connection", 30_000, () => isConnected(host.id));
  }

  /** The whole stored log of a finished job, as a browser reads it. */
  async function readLog(jobId: string): Promise<{ lines: number; ended: boolean }> {
    const socket = new WebSocket(`${proxy.url.replace("https", "wss")}/api/jobs/${jobId}/stream`, {
      headers: { cookie, origin: proxy.url },
      ca: await readFile(proxy.caFile),
    });
    const seen = { lines: 0, ended: false };
    const { promise, resolve: done, reject } = Promise.withResolvers<void>();
    socket.on("message", (data) => {
      const message = JSON.parse(String(data)) as { type: string; lines?: unknown[] };
      seen.lines += message.lines?.length ?? 0;
      seen.ended ||= message.type === "end";
    });
    socket.on("close", () => done());
    socket.on("error", reject);
    await promise;
    return seen;
  }

  it("the health check of compose.yaml passes at a replica, and not where nobody is", async () => {
    const [program = "", ...args] =
      (await readCompose()).services["replica-1"]?.healthcheck?.test.slice(1) ?? [];
    // Compose makes one dollar of two.
    const at = (port: number) => args.map((arg) => arg.replace("8080", String(port)).replaceAll("$$", "$"));
    await run(program, at(one.port));
    await expect(run(program, at(await freePort()))).rejects.toMatchObject({ code: 1 });
  });

  it("what replicas ask each other can't be asked from outside", async () => {
    const asked = { method: "POST", headers: json, body: "{}" };
    expect((await get("/internal/agents/ask", asked)).status).toBe(404);
    const itself = await fetch(`${one.url}/internal/agents/ask`, asked);
    expect(itself.status).not.toBe(404);
  });

  it("each gets one of two agents, and both back up", async () => {
    for (const name of ["east", "west"]) {
      const files = await replicas.lab.makeFolder(`files-${name}`);
      const way = { server: proxy.url, caFile: proxy.caFile };
      hosts.push(await LabHost.add(replicas.lab, { name, paths: [files], isQuick: true, way }));
    }
    await until("one agent at each", 60_000, async () => {
      const counts = [(await agentsAt(one)).length, (await agentsAt(two)).length];
      if (counts.join() === "1,1") return true;
      for (const west of hosts.slice(1)) await comeOnceMore(west);
      return false;
    });
    for (const host of hosts) expect((await host.backUp()).status).toBe("succeeded");
  });

  it("one is killed with -9: nothing fails, and its agent is back at the other within seconds", async () => {
    const moved = await agentsAt(one);
    await one.kill();
    const statuses = new Set<number>();
    for (let request = 0; request < 30; request++) statuses.add((await get("/api/hosts")).status);
    statuses.add((await signIn()).status);
    expect([...statuses]).toEqual([200]);
    await until("the agent at the other replica", 20_000, async () => {
      return (await agentsAt(two)).includes(moved[0] ?? "none");
    });
    const host = hosts.find(({ id }) => id === moved[0]);
    const job = await host?.backUp();
    expect(job?.status).toBe("succeeded");
    expect(await readLog(job?.id ?? "")).toMatchObject({ ended: true, lines: job?.log_lines });
  });

  it("it is started again and gets what is new, while agents stay where they are", async () => {
    const before = await agentsAt(two);
    await one.start();
    const files = await replicas.lab.makeFolder("files-north");
    const way = { server: proxy.url, caFile: proxy.caFile };
    const host = await LabHost.add(replicas.lab, { name: "north", paths: [files], isQuick: true, way });
    await until("an agent at the replica that was started again", 60_000, async () => {
      if ((await agentsAt(one)).includes(host.id)) return true;
      await comeOnceMore(host);
      return false;
    });
    expect(await agentsAt(two)).toEqual(before);
  });

  it("it hangs and gets nothing new after seconds, until it goes on", async () => {
    // What it was asked before Caddy noticed hangs with it, as a browser's request does.
    const within = (limitMs: number) =>
      Promise.race([
        get("/api/hosts").then(({ status }) => status),
        new Promise<string>((done) => setTimeout(done, limitMs, "no answer")),
      ]);
    const answers = (limitMs = 1500) => Promise.all(Array.from({ length: 10 }, () => within(limitMs)));
    one.freeze();
    try {
      await until("a time without hanging requests", 20_000, async () =>
        (await answers()).every((answer) => answer === 200),
      );
    } finally {
      one.thaw();
    }
    expect(await answers(15_000)).toEqual(Array.from({ length: 10 }, () => 200));
    await until("the end of what hung", 20_000, () => one.isReady());
  });

  it("the other is stopped: it says so first, and not one request is lost meanwhile", async () => {
    const statuses: number[] = [];
    let stopped = false;
    const stopping = two.stop().finally(() => {
      stopped = true;
    });
    while (!stopped) statuses.push((await get("/api/hosts")).status);
    await stopping;
    for (let request = 0; request < 10; request++) statuses.push((await get("/api/hosts")).status);
    expect([...new Set(statuses)]).toEqual([200]);
    for (const host of hosts)
      await until(`${host.name} at the other`, 20_000, async () => (await agentsAt(one)).includes(host.id));
  });
});
