/**
 * The protocol as others rely on it: golden frames parse for ever, and no bytes, however hostile, throw or
 * are repeated back. A golden frame is never edited: a changed one means a broken promise to a deployed agent.
 */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AgentMessage,
  agentMessage,
  chooseVersion,
  encodeMessage,
  maxFrameBytes,
  parseAgentFrame,
  parseServerFrame,
  serverMessage,
} from "./index.ts";

const fixturesUrl = new URL("../fixtures/v1/", import.meta.url);
const golden = readdirSync(fixturesUrl)
  .filter((name) => name.endsWith(".json"))
  .map((name) => ({ name, frame: readFileSync(new URL(name, fixturesUrl), "utf8") }));

const parse = (name: string, frame: string) =>
  name.startsWith("agent.") ? parseAgentFrame(frame) : parseServerFrame(frame);

describe("golden frames", () => {
  test.each(golden)("$name parses", ({ name, frame }) => {
    expect(parse(name, frame)).toMatchObject({ ok: true });
  });

  test.each(golden)("$name survives being encoded again", ({ name, frame }) => {
    const first = parse(name, frame);
    if (!first.ok) throw new Error(first.message);
    expect(parse(name, encodeMessage(first.message))).toEqual(first);
  });

  test("there is one for every message type of each direction", () => {
    const typesOf = (prefix: string) =>
      new Set(
        golden
          .filter(({ name }) => name.startsWith(prefix))
          .map(({ frame }) => (JSON.parse(frame) as { type: string }).type),
      );
    const declared = (union: typeof agentMessage | typeof serverMessage) =>
      new Set<string>(union.options.map((option) => option.shape.type.value));
    expect(typesOf("agent.")).toEqual(declared(agentMessage));
    expect(typesOf("server.")).toEqual(declared(serverMessage));
  });

  test("a frame of the other direction is an unknown type", () => {
    for (const { name, frame } of golden.filter(({ frame }) => !frame.includes('"type": "error"'))) {
      const wrongWay = name.startsWith("agent.") ? parseServerFrame(frame) : parseAgentFrame(frame);
      expect(wrongWay, name).toMatchObject({ ok: false, code: "protocol.unknown_type" });
    }
  });
});

describe("frames that can't be used", () => {
  test.each(["", "{", "hello", "\u0000", '{"type":'])("%j is not JSON", (frame) => {
    expect(parseAgentFrame(frame)).toMatchObject({ ok: false, code: "protocol.not_json" });
  });

  test.each(["null", "1", "[]", '"hello"', "{}", '{"type":7}', `{"type":"${"x".repeat(65)}"}`])(
    "%s has no usable type",
    (frame) => {
      expect(parseAgentFrame(frame)).toMatchObject({ ok: false, code: "protocol.invalid_message" });
    },
  );

  test("an unknown type is named back together with its sequence number", () => {
    expect(parseServerFrame('{"type":"tree.paint","seq":7}')).toMatchObject({
      ok: false,
      code: "protocol.unknown_type",
      type: "tree.paint",
      seq: 7,
    });
  });

  test("names of object properties are not types", () => {
    for (const type of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(parseAgentFrame(JSON.stringify({ type }))).toMatchObject({ code: "protocol.unknown_type" });
    }
  });

  test("a known type with a bad field names the field and its event", () => {
    const frame = JSON.stringify({ type: "job.started", seq: 9, job_id: "no", attempt: 1, at: "never" });
    expect(parseAgentFrame(frame)).toMatchObject({
      ok: false,
      code: "protocol.invalid_message",
      message: 'The field "job_id" is not valid.',
      type: "job.started",
      seq: 9,
    });
  });
});

// Hundreds of cases each: on a loaded machine more than the usual five seconds.
describe("an error that belongs to no event", () => {
  test("may say so by a null", () => {
    const frame = { type: "error", code: "protocol.not_json", message: "The frame is not JSON.", seq: null };
    expect(parseAgentFrame(JSON.stringify(frame)).ok).toBe(true);
    expect(parseServerFrame(JSON.stringify(frame)).ok).toBe(true);
  });
});

describe("whatever arrives", { timeout: 30_000 }, () => {
  test("any text never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json({ maxDepth: 3 }), fc.string({ unit: "binary" })), (frame) => {
        parseAgentFrame(frame);
        parseServerFrame(frame);
      }),
    );
  });

  test("any bytes, decoded as a socket would, never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
        parseAgentFrame(Buffer.from(bytes).toString("utf8"));
        parseServerFrame(Buffer.from(bytes).toString("utf8"));
      }),
    );
  });

  test("a golden frame with one field replaced by anything never throws", () => {
    fc.assert(
      fc.property(fc.constantFrom(...golden), fc.nat(), fc.jsonValue(), ({ name, frame }, at, value) => {
        const object = JSON.parse(frame) as Record<string, unknown>;
        const keys = Object.keys(object).filter((key) => key !== "type");
        const key = keys[at % keys.length];
        if (key !== undefined) object[key] = value;
        parse(name, JSON.stringify(object));
      }),
    );
  });

  test("a value is never repeated in the answer", () => {
    const secret = "s3cr3t-that-nobody-may-repeat";
    for (const { name, frame } of golden) {
      const object = JSON.parse(frame) as Record<string, unknown>;
      for (const key of Object.keys(object).filter((name) => name !== "type")) {
        const answer = parse(name, JSON.stringify({ ...object, [key]: { [key]: secret, value: [secret] } }));
        if (!answer.ok) expect(JSON.stringify(answer)).not.toContain(secret);
      }
      expect(JSON.stringify(parse(name, `${frame.slice(0, -3)},"x":"${secret}`))).not.toContain(secret);
    }
  });
});

describe("what we send", () => {
  const logOf = (lines: number, width: number): AgentMessage => ({
    type: "log.stream",
    seq: 1,
    job_id: "01KAQ2W4T9B3E6R8M1N5P7S0VX",
    attempt: 1,
    lines: Array.from({ length: lines }, (_, index) => ({
      n: index + 1,
      at: "2026-11-23T04:12:10.100Z",
      level: "info",
      stream: "stdout",
      text: "ä".repeat(width),
    })),
  });

  test("a frame larger than the limit is refused before it is sent", () => {
    expect(() => encodeMessage(logOf(40, 16_384))).toThrow(RangeError);
    expect(Buffer.byteLength(encodeMessage(logOf(20, 16_384)))).toBeLessThan(maxFrameBytes);
  });

  test("a message that breaks its schema is refused before it is sent", () => {
    expect(() => encodeMessage({ type: "event.ack", seq: -1 })).toThrow();
  });
});

describe("the version both sides use", () => {
  test("is the newest that both know", () => {
    expect(chooseVersion({ min: 1, max: 3 }, { min: 2, max: 5 })).toEqual({ ok: true, version: 3 });
  });
  test("does not exist when the peer is too old or too new", () => {
    expect(chooseVersion({ min: 2, max: 3 }, { min: 1, max: 1 })).toEqual({
      ok: false,
      code: "link.protocol_too_old",
    });
    expect(chooseVersion({ min: 1, max: 1 }, { min: 2, max: 2 })).toEqual({
      ok: false,
      code: "link.protocol_too_new",
    });
  });
});
