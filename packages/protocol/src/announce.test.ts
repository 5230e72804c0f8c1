/** The messages of a machine that waits to be accepted: golden frames, the text that is signed, and any bytes. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  announceProof,
  announceRequest,
  encodePending,
  parsePendingAgentFrame,
  parsePendingServerFrame,
  pendingAgentMessage,
  pendingServerMessage,
  serverNameOf,
} from "./announce.ts";
import { parseAgentFrame } from "./messages.ts";

const fixturesUrl = new URL("../fixtures/v1/pending/", import.meta.url);
const golden = readdirSync(fixturesUrl).map((name) => ({
  name,
  frame: readFileSync(new URL(name, fixturesUrl), "utf8"),
}));
const parse = (name: string, frame: string) =>
  name.startsWith("agent.") ? parsePendingAgentFrame(frame) : parsePendingServerFrame(frame);

describe("golden frames", () => {
  test.each(golden)("$name parses and survives being encoded again", ({ name, frame }) => {
    const first = parse(name, frame);
    if (!first.ok) throw new Error(first.message);
    expect(parse(name, encodePending(first.message))).toEqual(first);
  });

  test("there is one for every message", () => {
    const declared = [pendingAgentMessage, pendingServerMessage].flatMap((union) =>
      union.options.map((option) => option.shape.type.value as string),
    );
    const there = golden.map(({ frame }) => (JSON.parse(frame) as { type: string }).type);
    expect(there.sort()).toEqual(declared.sort());
  });

  test("an agent with a bearer says nothing of it, and one that waits says nothing else", () => {
    for (const { frame } of golden) expect(parseAgentFrame(frame)).toMatchObject({ ok: false });
    const heartbeat = JSON.stringify({ type: "heartbeat", sent_at: "2026-11-23T05:12:09.104Z" });
    expect(parsePendingAgentFrame(heartbeat)).toMatchObject({ code: "protocol.unknown_type" });
  });

  test("any text never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json({ maxDepth: 3 })), (frame) => {
        parsePendingAgentFrame(frame);
        parsePendingServerFrame(frame);
      }),
    );
  });
});

describe("the text that is signed", () => {
  test("is one line each for purpose, nonce, server and announcement", () => {
    expect(announceProof({ nonce: "n1", serverName: "rm.example.org", pendingId: "P1" })).toBe(
      "restic-manager announce v1\nn1\nrm.example.org\nP1",
    );
  });

  test.each([
    ["https://RM.example.org/", "rm.example.org"],
    ["https://rm.example.org:443/restic", "rm.example.org"],
    ["http://rm.example.org:8080", "rm.example.org:8080"],
    ["http://[::1]:80", "[::1]"],
  ])("names the server of %s as %s", (address, name) => {
    expect(serverNameOf(new URL(address))).toBe(name);
  });

  test("can't be made to mean something else by a name with a line break", () => {
    const prove = {
      type: "pending.prove",
      pending_id: "01KAQ2TZY8X6W4V2T0S9R7Q5PN",
      signature: `${"A".repeat(86)}==`,
    };
    const frame = (server_name: string) => JSON.stringify({ ...prove, server_name });
    expect(parsePendingAgentFrame(frame("rm.example.org"))).toMatchObject({ ok: true });
    for (const name of ["a\nb", "a b", "a/b", "", "a\u0000"])
      expect(parsePendingAgentFrame(frame(name))).toMatchObject({ ok: false });
  });
});

describe("an announcement", () => {
  const wanted = {
    ...{ hostname: "web-01", os: "linux", arch: "x64", agent_version: "0.1.0" },
    public_key: `MCowBQYDK2VwAyEA${"A".repeat(43)}=`,
  };

  test("needs a name and a key, and may say more", () => {
    expect(announceRequest.safeParse(wanted).success).toBe(true);
    const more = { restic_version: "0.18.0", machine_id: "m", note: "in the basement", pending_id: null };
    expect(announceRequest.safeParse({ ...wanted, ...more }).success).toBe(true);
  });

  test.each([
    ["a name that is none", { hostname: "<script>" }],
    ["a name of 300 characters", { hostname: "a".repeat(300) }],
    ["a key that is too short", { public_key: "MCowBQYDK2VwAyEA" }],
    ["a control character in a note", { note: "a\u001b[2Jb" }],
    ["an endless note", { note: "x".repeat(201) }],
    ["an unknown field", { token: "x" }],
  ])("is refused with %s", (_what, wrong) => {
    expect(announceRequest.safeParse({ ...wanted, ...wrong }).success).toBe(false);
  });
});
