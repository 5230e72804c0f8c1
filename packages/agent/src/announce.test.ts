/** Announcing over a line that breaks: what is signed, what is repeated, what is said, and what ends it. */
import { createPublicKey, verify } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { announceProof } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../testkit/src/agent-clock.ts";
import { FakePendingServer } from "../../testkit/src/agent-fake-pending.ts";
import { type AcceptedHost, announce } from "./announce.ts";
import { createNetwork } from "./link/network.ts";
import { systemRandom } from "./platform/random.ts";

const ACCEPTED = {
  ...{ type: "pending.accepted" as const, host_id: "01KAQ2TZY8X6W4V2T0S9R7Q5PN", host_name: "db-01" },
  ...{ bearer: "the-bearer", cert_pin: null },
};
const refusal = (code: string, retry = false) => ({
  ...{ type: "pending.refused" as const, code, message: "Some sentence.", retry },
});

let dir: string;
let server: FakePendingServer;
let clock: AgentFakeClock;
let said: string[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-announce-"));
  server = new FakePendingServer();
  await server.start();
  clock = new AgentFakeClock();
  said = [];
});
afterEach(async () => {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

function announceMachine(address = server.url): Promise<AcceptedHost> {
  return announce(
    {
      ...{ clock, random: systemRandom(), env: { PATH: "" }, platform: process.platform },
      machine: { hostname: "db-01", os: "linux", arch: "x64", machineId: "m1", bootId: null },
      executablePath: join(dir, "agent"),
      network: createNetwork({ env: {}, caFile: null, certPin: null }),
      say: (line) => said.push(line),
      warn: (line) => said.push(`warning: ${line}`),
    },
    {
      ...{ server: address, hostname: undefined, note: "rack 4", workDir: dir, resticPath: undefined },
      keyPath: join(dir, "announce.key"),
    },
  );
}

/** Lets the time go on until it holds. */
async function until(what: string, holds: () => boolean, stepMs = 500): Promise<void> {
  for (let looks = 0; !holds(); looks++) {
    if (looks > 5000) throw new Error(`never happened: ${what}; said: ${said.join(" | ")}`);
    await clock.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("the proof is the key's signature over nonce, dialled server and announcement", async () => {
  server.decide = () => ACCEPTED;
  await announceMachine(`${server.url}/`);
  const [request, proof] = [server.announced[0], server.proofs[0]];
  expect(request).toMatchObject({ hostname: "db-01", machine_id: "m1", note: "rack 4", pending_id: null });
  const key = createPublicKey({
    key: Buffer.from(request?.public_key ?? "", "base64"),
    format: "der",
    type: "spki",
  });
  const serverName = new URL(server.url).host;
  const text = announceProof({ nonce: "nonce-1", serverName, pendingId: proof?.pending_id ?? "" });
  expect(proof?.server_name).toBe(serverName);
  expect(verify(null, Buffer.from(text), key, Buffer.from(proof?.signature ?? "", "base64"))).toBe(true);
});

test("the fingerprint stands alone on its line, and a second run shows the same", async () => {
  server.decide = () => ACCEPTED;
  await announceMachine();
  const first = said.filter((line) => /^SHA256:[A-Za-z0-9+/]{43}$/.test(line));
  expect(first).toHaveLength(1);
  said = [];
  await announceMachine();
  expect(said).toContain(first[0]);
});

describe("a line that breaks", () => {
  test("is dialled again with another nonce for the same announcement, and told of once", async () => {
    const accepted = announceMachine();
    for (const count of [1, 2, 3]) {
      await until(`proof ${count}`, () => server.proofs.length === count);
      server.dropAll();
    }
    server.decide = () => ACCEPTED;
    await until("the fourth", () => server.proofs.length === 4);
    expect(await accepted).toMatchObject({ bearer: "the-bearer", host_name: "db-01", server: server.url });
    const ids = server.announced.map(({ pending_id }) => pending_id);
    expect(ids).toEqual([null, ...Array(3).fill(server.proofs[0]?.pending_id)]);
    expect(new Set(server.proofs.map((proof) => proof.signature)).size).toBe(4);
    expect(said.filter((line) => line.startsWith("Waiting to be accepted"))).toHaveLength(1);
  });

  test("that stays silent is taken for broken after a minute and a half", async () => {
    const accepted = announceMachine();
    await until("the proof", () => said.some((line) => line.startsWith("Waiting to be accepted")));
    server.decide = () => ACCEPTED;
    await until("another", () => server.proofs.length === 2, 5000);
    await accepted;
  });

  test("never makes more than ten announcements a minute", async () => {
    server.decide = () => "drop";
    const accepted = announceMachine();
    await until("many tries", () => server.proofs.length === 12);
    const minutes = (clock.monotonicMs() - new AgentFakeClock().monotonicMs()) / 60_000;
    expect(server.announced.length / minutes).toBeLessThan(10);
    server.decide = () => ACCEPTED;
    await until("the end", () => server.proofs.length === 13, 5000);
    await accepted;
  });

  test("behind a proxy that passes no upgrades is explained once, and tried on", async () => {
    server.refuseUpgrade = 400;
    const accepted = announceMachine();
    await until("tries", () => server.announced.length === 4, 5000);
    expect(said.filter((line) => line.includes("does not pass upgrades"))).toHaveLength(1);
    server.refuseUpgrade = undefined;
    server.decide = () => ACCEPTED;
    await until("the proof", () => server.proofs.length === 1, 5000);
    await accepted;
  });
});

describe("a server that is busy", () => {
  const tooMany = {
    status: 429,
    body: { code: "request.rate_exceeded", message: "Too many.", request_id: "r1" },
    headers: { "retry-after": "40" },
  };

  test("is asked again when it said, not before", async () => {
    server.answer = (count) => (count === 1 ? tooMany : undefined);
    server.decide = () => ACCEPTED;
    const startedMs = clock.monotonicMs();
    const accepted = announceMachine();
    await until("the second", () => server.announced.length === 2);
    expect(clock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(40_000);
    await accepted;
    expect(said.join("\n")).toContain("no more announcements from this address");
  });

  test("that fails meanwhile is tried on", async () => {
    server.decide = (count) => (count === 1 ? "drop" : ACCEPTED);
    server.answer = (count) =>
      count === 2
        ? { status: 503, body: { code: "database.unavailable", message: "Busy.", request_id: "r" } }
        : undefined;
    const accepted = announceMachine();
    await until("the third", () => server.announced.length === 3);
    await accepted;
  });
});

describe("the end", () => {
  test.each(["pending.rejected", "pending.expired", "pending.replaced", "pending.server_name_wrong"])(
    "is %s, in the server's words",
    async (code) => {
      server.decide = () => refusal(code);
      await expect(announceMachine()).rejects.toMatchObject({
        code,
        message: "The server refused: Some sentence.",
      });
    },
  );

  test("is not a nonce that was used: another is fetched", async () => {
    server.decide = (count) => (count === 1 ? refusal("pending.nonce_used", true) : ACCEPTED);
    const accepted = announceMachine();
    await until("the second", () => server.proofs.length === 2);
    await accepted;
  });

  test("is what became of it while the machine was away", async () => {
    server.decide = () => "drop";
    server.answer = (count) =>
      count === 2
        ? { status: 409, body: { code: "pending.rejected", message: "Not ours.", request_id: "r" } }
        : undefined;
    const ended = expect(announceMachine()).rejects.toMatchObject({ code: "pending.rejected" });
    await until("the second", () => server.announced.length === 2);
    await ended;
  });

  test("is an answer of something else, at once", async () => {
    server.answer = () => ({ status: 200, body: { hello: "world" } });
    await expect(announceMachine()).rejects.toMatchObject({ code: "connect.not_restic_manager" });
  });
});
