/** The way to the server: through a real CONNECT proxy, with authorities of one's own, with a pin; and its sentences. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeServer } from "../../../testkit/src/agent-fake-server.ts";
import { ConnectProxy } from "../../../testkit/src/connect-proxy.ts";
import { connectToServer } from "./connect.ts";
import { createNetwork, fingerprintOf, type NetworkOptions } from "./network.ts";

const file = (name: string) => fileURLToPath(new URL(`../../fixtures/tls/link/${name}`, import.meta.url));
const read = (name: string) => readFileSync(file(name), "utf8");
const tlsOf = (name: string) => ({ key: read("key.pem"), cert: read(name) });
const authority = file("authority.pem");
const pin = fingerprintOf(new X509Certificate(read("server.pem")).fingerprint256);

let server: FakeServer;
let proxy: ConnectProxy | undefined;
const raw: Server[] = [];
beforeEach(() => {
  server = new FakeServer();
  server.onHttp = (_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('{"status":"ok"}');
  };
});
afterEach(async () => {
  await proxy?.stop();
  proxy = undefined;
  await server.stop();
  for (const other of raw.splice(0)) await new Promise((resolve) => other.close(resolve));
});

async function startTls(certificate = "server.pem"): Promise<void> {
  server.tls = tlsOf(certificate);
  await server.start();
}

async function startProxy(): Promise<ConnectProxy> {
  proxy = new ConnectProxy(Number(new URL(server.url).port));
  await proxy.start();
  return proxy;
}

const network = (options: Partial<NetworkOptions> = {}) =>
  createNetwork({ env: {}, caFile: authority, certPin: null, ...options });

/** What the WebSocket and a plain request make of the same way: they must not differ. */
async function tryBoth(options: Partial<NetworkOptions> = {}, url = server.url) {
  const both = network(options);
  const fetched = await both.fetch(`${url}/healthz`).then(
    async (response) => `${response.status} ${await response.text()}`,
    (error: { code: string }) => error.code,
  );
  const signal = AbortSignal.timeout(10_000);
  const linked = await connectToServer({ server: url, bearer: "test-bearer", network: both, signal });
  if (linked.kind === "open") linked.socket.terminate();
  return { fetched, linked: linked.kind === "failed" ? linked.code : linked.kind };
}

const good = { fetched: '200 {"status":"ok"}', linked: "open" };
const bad = (code: string) => ({ fetched: code, linked: code });

describe("a certificate", () => {
  test("of an authority of one's own is believed when ca_file names it", async () => {
    await startTls();
    expect(await tryBoth()).toEqual(good);
    expect(await tryBoth({ caFile: null })).toEqual(bad("connect.certificate_unknown"));
    expect(server.bearers).toEqual(["Bearer test-bearer"]);
  });

  test.each([
    ["expired.pem", "connect.certificate_expired"],
    ["future.pem", "connect.certificate_not_yet_valid"],
    ["other-name.pem", "connect.certificate_name"],
  ])("%s is refused as %s before the bearer is sent", async (certificate, code) => {
    await startTls(certificate);
    expect(await tryBoth()).toEqual(bad(code));
    expect(server.bearers).toEqual([]);
  });

  test("that is pinned needs no authority; another one is refused", async () => {
    await startTls();
    expect(await tryBoth({ caFile: null, certPin: pin })).toEqual(good);
    const other = `sha256:${"00".repeat(32)}`;
    expect(await tryBoth({ certPin: other })).toEqual(bad("connect.pin_mismatch"));
    expect(server.bearers).toHaveLength(1);
  });

  test("that is renewed with its authority counts without a restart", async () => {
    const dir = await mkdtemp(join(tmpdir(), "agent-ca-"));
    try {
      const caFile = join(dir, "ca.pem");
      const same = network({ caFile });
      await startTls();
      const code = () =>
        same.fetch(`${server.url}/healthz`).then(
          (response) => response.status,
          (error: { code: string }) => error.code,
        );
      expect(await code()).toBe("connect.ca_file_invalid");
      await writeFile(caFile, "no certificate");
      expect(await code()).toBe("connect.ca_file_invalid");
      await writeFile(caFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
      expect(await code()).toBe("connect.ca_file_invalid");
      await writeFile(caFile, `a note\n${read("authority.pem")}`);
      expect(await code()).toBe(200);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe("a proxy", () => {
  const URL_OF_NAME = "https://backup.example.org";

  test("leads to a name that only it can reach, and sees no bearer", async () => {
    await startTls();
    const { url, asked } = await startProxy();
    expect(await tryBoth({ env: { HTTPS_PROXY: url } }, URL_OF_NAME)).toEqual(good);
    expect(asked).toEqual(Array(2).fill({ target: "backup.example.org:443", login: undefined }));
  });

  test("takes a pin along: what it leads to is compared before anything is sent", async () => {
    await startTls();
    const env = { HTTPS_PROXY: (await startProxy()).url };
    expect(await tryBoth({ env, caFile: null, certPin: pin }, URL_OF_NAME)).toEqual(good);
    const other = `sha256:${"00".repeat(32)}`;
    expect(await tryBoth({ env, certPin: other }, URL_OF_NAME)).toEqual(bad("connect.pin_mismatch"));
    expect(server.bearers).toHaveLength(1);
  });

  test("gets the login that the variable has; without it the sentence asks for one", async () => {
    await startTls();
    const { url, asked } = await startProxy();
    if (proxy !== undefined) proxy.login = "me:p@ss";
    const withLogin = url.replace("//", "//me:p%40ss@");
    expect(await tryBoth({ env: { HTTPS_PROXY: withLogin } }, URL_OF_NAME)).toEqual(good);
    expect(asked[0]?.login).toBe("me:p@ss");
    expect(await tryBoth({ env: { HTTPS_PROXY: url } }, URL_OF_NAME)).toEqual(bad("connect.proxy_login"));
  });

  test.each([
    [403, "connect.proxy_forbids"],
    [502, "connect.proxy_failed"],
  ])("that answers %i is named, without its login", async (status, code) => {
    await startTls();
    const { url } = await startProxy();
    if (proxy !== undefined) proxy.refusal = status;
    const env = { HTTPS_PROXY: url.replace("//", "//me:s3cret@") };
    expect(await tryBoth({ env }, URL_OF_NAME)).toEqual(bad(code));
    const error = await network({ env })
      .fetch(URL_OF_NAME)
      .catch((thrown: unknown) => thrown);
    expect(String(error)).toContain("127.0.0.1");
    expect(String(error)).not.toContain("s3cret");
  });

  test("that is down is not taken for the server", async () => {
    await startTls();
    const { url } = await startProxy();
    await proxy?.stop();
    proxy = undefined;
    expect(await tryBoth({ env: { HTTPS_PROXY: url } }, URL_OF_NAME)).toEqual(
      bad("connect.proxy_unreachable"),
    );
  });

  test("that looks into TLS needs its authority in ca_file", async () => {
    await startTls();
    const env = { HTTPS_PROXY: (await startProxy()).url };
    expect(await tryBoth({ env, caFile: null }, URL_OF_NAME)).toEqual(bad("connect.certificate_unknown"));
  });

  test("is left out by NO_PROXY", async () => {
    await startTls();
    const { url, asked } = await startProxy();
    await tryBoth({ env: { HTTPS_PROXY: url, NO_PROXY: "nowhere.invalid" } }, "https://nowhere.invalid");
    expect(asked).toEqual([]);
  });
});

describe("an address that is not right", () => {
  test("https to a port without TLS says so", async () => {
    await server.start();
    expect(await tryBoth({}, server.url.replace("http:", "https:"))).toEqual(bad("connect.no_tls_there"));
  });

  test("http to a port with TLS says so, or that the connection was cut", async () => {
    await startTls();
    const outcome = await tryBoth({}, server.url.replace("https:", "http:"));
    expect(["connect.tls_there", "connect.cut"]).toContain(outcome.fetched);
    expect(outcome.linked).toBe(outcome.fetched);
  });

  test("nobody listens, and no name", async () => {
    await server.start();
    await server.stop();
    expect(await tryBoth()).toEqual(bad("connect.refused"));
    const { fetched } = await tryBoth({}, "http://no-such-host.invalid");
    expect(["connect.dns_unknown", "connect.dns_failed"]).toContain(fetched);
  });

  test("what answers is no HTTP", async () => {
    const noise = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end("\x15\x03\x01\x00\x02\x02\x46"));
    });
    raw.push(noise);
    await new Promise<void>((resolve) => noise.listen(0, "127.0.0.1", resolve));
    const { port } = noise.address() as { port: number };
    expect(await tryBoth({}, `http://127.0.0.1:${port}`)).toEqual(bad("connect.tls_there"));
  });
});

describe("a request", () => {
  test("ends with its signal: a time-out is a sentence, a stop is a stop", async () => {
    server.onHttp = () => undefined;
    await server.start();
    const url = `${server.url}/healthz`;
    const late = await network()
      .fetch(url, { signal: AbortSignal.timeout(20) })
      .catch((thrown: unknown) => thrown);
    expect(late).toMatchObject({ code: "connect.timed_out" });
    const stopped = await network()
      .fetch(url, { signal: AbortSignal.abort() })
      .catch((thrown: unknown) => thrown);
    expect(stopped).toMatchObject({ name: "AbortError" });
  });

  test("carries a body and headers, and shows a redirect instead of following it", async () => {
    const seen: unknown[] = [];
    server.onHttp = (request, response) => {
      request.on("data", (chunk: Buffer) => seen.push(request.headers["x-one"], chunk.toString()));
      request.on("end", () => response.writeHead(302, { location: "/elsewhere" }).end());
    };
    await server.start();
    const response = await network().fetch(`${server.url}/a`, {
      method: "POST",
      headers: { "x-one": "1" },
      body: "hello",
    });
    expect(response).toMatchObject({ status: 302 });
    expect(response.headers.get("location")).toBe("/elsewhere");
    expect(seen).toEqual(["1", "hello"]);
  });

  test("streams a large answer", async () => {
    server.onHttp = (_request, response) => response.end(Buffer.alloc(3 * 1024 * 1024, 1));
    await server.start();
    const response = await network().fetch(server.url);
    let sizeBytes = 0;
    for await (const chunk of response.body ?? []) sizeBytes += chunk.length;
    expect(sizeBytes).toBe(3 * 1024 * 1024);
  });
});
