/**
 * The server behind the real Caddy and the real nginx, with the files of deploy/: pages, forms, an agent with its
 * backup, a live log, a download; whose address is in the audit, and that nobody can choose it.
 */
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { until } from "../tools/demo/children.ts";
import { LabHost } from "./lab/host.ts";
import { admin, agentProgram, Lab, plainEnvironment } from "./lab/lab.ts";
import { ask, type ReverseProxy, startCaddy, startNginx } from "./lab/reverse-proxy.ts";

const run = promisify(execFile);
const CLIENT = "127.0.0.9";
const FORGED = {
  "x-forwarded-for": "203.0.113.66",
  "x-forwarded-proto": "http",
  "x-forwarded-host": "evil.example.org",
  "x-real-ip": "203.0.113.66",
  forwarded: "for=203.0.113.66;proto=http;host=evil.example.org",
};

const lab = await Lab.create();
const names = ["caddy", "nginx"] as const;
const proxies = {} as Record<(typeof names)[number], ReverseProxy>;

beforeAll(async () => {
  lab.settings = { RM_TRUSTED_PROXY: "127.0.0.1", RM_COOKIE_SECURE: "true" };
  await lab.startServer();
  await lab.signUp();
  proxies.caddy = await startCaddy(lab);
  proxies.nginx = await startNginx(lab);
});
afterAll(() => lab.close());

const json = { "content-type": "application/json" };
const signInBody = JSON.stringify(admin);
const cookieOf = (headers: NodeJS.Dict<string | string[]>): string =>
  [headers["set-cookie"] ?? []]
    .flat()
    .find((one) => one.startsWith("rm_session="))
    ?.split(";")[0] ?? "";

interface AuditEntry {
  action: string;
  payload: { address?: string };
}

/** The address of the newest sign-in in the audit. */
async function lastSignInFrom(): Promise<string | undefined> {
  const { entries } = await lab.api.get<{ entries: AuditEntry[] }>("/api/audit");
  return entries.find(({ action }) => action === "auth.login")?.payload.address;
}

describe.each(names)("behind %s", (name) => {
  it("pages, assets and the form for signing in work as on the server itself", async () => {
    const page = await ask(proxies[name], "/login");
    expect(page).toMatchObject({ status: 200, headers: { "content-type": "text/html; charset=utf-8" } });
    expect(page.headers["strict-transport-security"]).toContain("max-age=");
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    const packed = await ask(proxies[name], "/login", { headers: { "accept-encoding": "gzip" } });
    expect(packed.headers["content-encoding"]).toBe("gzip");
    const [, asset = ""] = /(?:src|href)="(\/assets\/[^"]+\.(?:js|css))"/.exec(page.text) ?? [];
    expect(await ask(proxies[name], asset)).toMatchObject({ status: 200 });
    const body = new URLSearchParams({ ...admin, return_to: "/" }).toString();
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const own = await ask(proxies[name], "/login", {
      ...{ method: "POST", body, headers: { ...form, origin: proxies[name].url } },
    });
    expect(own).toMatchObject({ status: 303, headers: { location: "/" } });
    expect(String(own.headers["set-cookie"])).toContain("Secure");
    const foreign = await ask(proxies[name], "/login", {
      ...{ method: "POST", body, headers: { ...form, origin: "https://evil.example.org" } },
    });
    expect(foreign.status).toBe(403);
  });

  it("the audit has the client's address, and not one that the client chose", async () => {
    const signIn = (headers: Record<string, string>) =>
      ask(proxies[name], "/api/auth/login", {
        ...{ method: "POST", headers: { ...json, ...headers }, body: signInBody, from: CLIENT },
      });
    expect((await signIn({})).status).toBe(200);
    expect(await lastSignInFrom()).toBe(CLIENT);
    expect((await signIn(FORGED)).status).toBe(200);
    expect(await lastSignInFrom()).toBe(CLIENT);
  });

  it("an origin that a client claims by headers is not ours", async () => {
    const forged = await ask(proxies[name], "/api/auth/login", {
      ...{ method: "POST", body: signInBody },
      headers: { ...json, ...FORGED, origin: "http://evil.example.org" },
    });
    expect(forged.status).toBe(403);
  });

  it("a request that is too large is refused, and a large one passes", async () => {
    const send = (sizeBytes: number) =>
      ask(proxies[name], "/api/auth/login", {
        ...{ method: "POST", headers: json, body: JSON.stringify({ username: "x".repeat(sizeBytes) }) },
      });
    expect((await send(3 * 1024 * 1024)).text).toMatch(/request\.too_large|413 Request Entity Too Large/);
    expect((await send(1024 * 1024)).text).toContain("request.invalid");
  });

  it("a host enrols, is found healthy by its doctor, and backs up; its log comes live and its file back", async () => {
    const proxy = proxies[name];
    const source = await lab.makeFolder(`source-${name}`);
    const bytes = randomBytes(24 * 1024 * 1024);
    await writeFile(join(source, "big.bin"), bytes);
    const host = await LabHost.add(lab, {
      ...{ name: `host-${name}`, paths: [source], isQuick: true },
      way: { server: proxy.url, caFile: proxy.caFile },
    });
    const agentLog = await readFile(host.agentLog, "utf8");
    expect(agentLog).toContain('"msg":"connected"');
    const args = [agentProgram, "doctor", "--json", "--config", host.configFile];
    const env = { ...plainEnvironment(), RM_RESTIC: lab.resticPath };
    const { stdout } = await run(process.execPath, args, { env });
    const { findings } = JSON.parse(stdout) as { findings: { name: string; status: string }[] };
    const inWay = ["url", "dns", "tcp", "tls", "http", "clock", "websocket", "enrolment"];
    expect(findings.filter((one) => inWay.includes(one.name)).map((one) => one.status)).toEqual(
      inWay.map(() => "ok"),
    );
    const job = await host.backUp(60_000);
    expect(job.status).toBe("succeeded");
    expect(await readLive(proxy, job.id)).toMatchObject({ lines: job.log_lines, ended: true });
    const path = `/api/hosts/${host.id}/snapshots/${job.summary?.snapshot_id}/download`;
    await until("the snapshot", 20_000, async () =>
      (await lab.api.getText(`/api/hosts/${host.id}/snapshots`)).includes(job.summary?.snapshot_id ?? "none"),
    );
    const file = await download(proxy, `${path}?path=${encodeURIComponent(join(source, "big.bin"))}`);
    expect(file).toEqual({ sha256: createHash("sha256").update(bytes).digest("hex"), kept: 0 });
  });
});

it("who comes to the server directly is believed nothing", async () => {
  const response = Promise.withResolvers<number>();
  const { request: plainRequest } = await import("node:http");
  const outgoing = plainRequest(
    new URL("/api/auth/login", lab.url),
    { method: "POST", headers: { ...json, ...FORGED }, localAddress: CLIENT, family: 4, agent: false },
    (answer) => {
      answer.resume();
      response.resolve(answer.statusCode ?? 0);
    },
  );
  outgoing.end(signInBody);
  expect(await response.promise).toBe(200);
  expect(await lastSignInFrom()).toBe(CLIENT);
});

/** The live view of a job as a browser opens it: with the page's origin and cookie. */
async function readLive(proxy: ReverseProxy, jobId: string): Promise<{ lines: number; ended: boolean }> {
  const signedIn = await ask(proxy, "/api/auth/login", { method: "POST", headers: json, body: signInBody });
  const socket = new WebSocket(`${proxy.url.replace("https", "wss")}/api/jobs/${jobId}/stream`, {
    headers: { cookie: cookieOf(signedIn.headers), origin: proxy.url },
    ca: await readFile(proxy.caFile),
  });
  const seen = { lines: 0, ended: false };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on("message", (data) => {
    const message = JSON.parse(String(data)) as { type: string; lines?: unknown[] };
    seen.lines += message.lines?.length ?? 0;
    seen.ended ||= message.type === "end";
  });
  socket.on("close", () => resolve());
  socket.on("error", reject);
  await promise;
  return seen;
}

/** Reads slowly at first: what the proxy then keeps on its disk is counted. */
async function download(proxy: ReverseProxy, path: string): Promise<{ sha256: string; kept: number }> {
  const agent = new Agent({ ca: await readFile(proxy.caFile) });
  const { promise, resolve, reject } = Promise.withResolvers<{ sha256: string; kept: number }>();
  const outgoing = request(
    new URL(path, proxy.url),
    { agent, headers: { cookie: lab.api.cookie } },
    (response) => {
      const hash = createHash("sha256");
      let kept = 0;
      let pending = Promise.resolve();
      response.once("data", () => {
        response.pause();
        // It stands still until the proxy could have filled its buffers from the 24 MiB.
        pending = keptBytes(proxy).then((bytes) => {
          kept = bytes;
          response.resume();
        });
      });
      response.on("data", (chunk: Buffer) => hash.update(chunk));
      response.on("error", reject);
      response.on("end", () => {
        void pending.then(() => resolve({ sha256: hash.digest("hex"), kept }));
      });
    },
  );
  outgoing.on("error", reject);
  outgoing.end();
  try {
    return await promise;
  } finally {
    agent.destroy();
  }
}

/** Bytes below the folders in which nginx buffers; Caddy has none. */
async function keptBytes(proxy: ReverseProxy): Promise<number> {
  const entries = await readdir(proxy.folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.parentPath.includes("temp-")).length;
}
