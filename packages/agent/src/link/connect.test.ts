/** Opening the connection: the pin is checked before anything is said, and every refusal has its reason. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeServer } from "../../../testkit/src/agent-fake-server.ts";
import { connectToServer } from "./connect.ts";
import { createNetwork } from "./network.ts";

const read = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), "utf8");
const tls = { key: read("key.pem"), cert: read("cert.pem") };
const pin = `sha256:${new X509Certificate(tls.cert).fingerprint256.replaceAll(":", "").toLowerCase()}`;

let server: FakeServer;
let stopping: AbortController;
beforeEach(() => {
  server = new FakeServer();
  stopping = new AbortController();
});
afterEach(async () => {
  stopping.abort();
  await server.stop();
});

const connect = (certPin: string | null, bearer = "test-bearer") => {
  const network = createNetwork({ env: {}, caFile: null, certPin });
  return connectToServer({ server: server.url, bearer, network, signal: stopping.signal });
};

describe("a pinned certificate", () => {
  beforeEach(async () => {
    server.tls = tls;
    await server.start();
  });

  test("that is the right one is enough, though nobody signed it", async () => {
    const outcome = await connect(pin);
    expect(outcome.kind).toBe("open");
    expect(server.bearers).toEqual(["Bearer test-bearer"]);
    if (outcome.kind === "open") outcome.socket.terminate();
  });

  test("that is another ends the connection before the bearer is sent", async () => {
    const outcome = await connect(`sha256:${"00".repeat(32)}`);
    expect(outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("cert_pin") });
    expect(server.bearers).toEqual([]);
  });

  test("is needed for a certificate that nobody signed", async () => {
    expect(await connect(null)).toMatchObject({ kind: "failed", code: "connect.certificate_unknown" });
    expect(server.bearers).toEqual([]);
  });

  test("is no way around the bearer", async () => {
    expect(await connect(pin, "another")).toEqual({ kind: "unauthorized" });
  });
});

describe("a connection that does not come about", () => {
  test("because a certificate is pinned and the address has none sends no bearer", async () => {
    await server.start();
    expect(await connect(pin)).toMatchObject({ kind: "failed", reason: expect.stringContaining("https") });
    expect(server.bearers).toEqual([]);
  });

  test("because nobody listens names the reason", async () => {
    await server.start();
    await server.stop();
    expect(await connect(null)).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("because it was stopped does not wait for a time-out", async () => {
    await server.start();
    stopping.abort();
    expect((await connect(null)).kind).toBe("failed");
  });
});
