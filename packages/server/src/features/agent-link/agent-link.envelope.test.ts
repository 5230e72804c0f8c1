/** What replicas seal for each other: for one replica, once, within half a minute. */
import { randomBytes } from "node:crypto";
import { FakeClock } from "@restic-manager/testkit";
import fc from "fast-check";
import { expect, it } from "vitest";
import { AppError } from "../../platform/errors.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { openAnswer, RequestOpener, type Sealed, sealAnswer, sealRequest } from "./agent-link.envelope.ts";

const clock = new FakeClock();
const box = createSecretBox(randomBytes(32));
const other = createSecretBox(randomBytes(32));
const opener = () => new RequestOpener({ box, clock, replicaId: "A" });

/** The code with which it is refused; null when it is opened. */
function refusal(by: RequestOpener, body: Sealed): string | null {
  try {
    by.open(body);
    return null;
  } catch (error) {
    return error instanceof AppError ? error.code : String(error);
  }
}
const refused = "replicas.request_refused";

it("opens a request of a replica with the same key", () => {
  const { id, body } = sealRequest({ box, clock }, "A", { question: 1 });
  expect(opener().open(body)).toEqual({ id, asked: { question: 1 } });
});

it("refuses one sealed with another key, or for another replica", () => {
  expect(refusal(opener(), sealRequest({ box: other, clock }, "A", 1).body)).toBe(refused);
  expect(refusal(opener(), sealRequest({ box, clock }, "B", 1).body)).toBe(refused);
});

it("refuses one that it has opened before", () => {
  const { body } = sealRequest({ box, clock }, "A", 1);
  const by = opener();
  expect([refusal(by, body), refusal(by, body)]).toEqual([null, refused]);
});

it("refuses one that is too old, and forgets only what it would refuse for its age", async () => {
  const by = opener();
  const { body } = sealRequest({ box, clock }, "A", 1);
  by.open(body);
  await clock.advance(30_000);
  expect(refusal(by, body)).toBe(refused);
  await clock.advance(1);
  expect(refusal(by, body)).toBe(refused);
  expect(refusal(opener(), body)).toBe(refused);
});

it("takes one from a clock that is half a minute ahead, and none from one that is further", async () => {
  const ahead = new FakeClock(clock.now() + 30_000);
  expect(refusal(opener(), sealRequest({ box, clock: ahead }, "A", 1).body)).toBeNull();
  await ahead.advance(1);
  expect(refusal(opener(), sealRequest({ box, clock: ahead }, "A", 1).body)).toBe(refused);
});

it("refuses whatever else comes, with the same words", () => {
  const by = opener();
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String()), (sealed) => {
      expect(refusal(by, { sealed })).toBe(refused);
    }),
  );
  const place = { row: "A", slot: "replica.request" };
  for (const text of ["", "{", "[]", "null", '{"id":1}', '{"id":"x","expires_at":"soon"}'])
    expect(refusal(by, { sealed: box.seal(text, place) })).toBe(refused);
});

it("opens an answer for its own request only", () => {
  const body = sealAnswer(box, "request", { answer: [1, "two"] });
  expect(openAnswer(box, "request", body)).toEqual({ answer: [1, "two"] });
  expect(() => openAnswer(box, "another", body)).toThrow();
  expect(() => openAnswer(other, "request", body)).toThrow();
  expect(() => openAnswer(box, "request", { answer: 1 })).toThrow();
});
