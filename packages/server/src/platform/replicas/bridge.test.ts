/** Frames between replicas without a database: what is coalesced, what leaves a gap, and what a gap means. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { EventBus, sharedTopic } from "../events.ts";
import { createLog } from "../log.ts";
import { Bridge } from "./bridge.ts";
import { parseFrame, writeFrame } from "./frames.ts";
import { eventsMissed } from "./replicas.ts";

const changed = sharedTopic<{ id: string }>("things.changed", { payload: z.object({ id: z.string() }) });
const eventOf = (id: string) => JSON.stringify([changed.name, { id }]);

let bus: EventBus;
let bridge: Bridge;
let strangers: number;
let missed: number;
let heard: string[];
/** Frames handed to PostgreSQL, and what ends each NOTIFY. */
let sent: { text: string; done(): void; fail(): void }[];

beforeEach(() => {
  const log = createLog("silent");
  bus = new EventBus(log);
  strangers = 0;
  missed = 0;
  heard = [];
  sent = [];
  bridge = new Bridge({ id: "me", bus, log, onStranger: () => strangers++ });
  bus.connect(bridge.publish);
  bus.on(eventsMissed, () => missed++);
  bus.on(changed, ({ id }, origin) => {
    if (origin === "replica") heard.push(id);
  });
});

const notify = (text: string) =>
  new Promise<void>((resolve, reject) => {
    sent.push({ text, done: resolve, fail: () => reject(new Error("lost")) });
  });
const emit = (id: string) => bus.emit(changed, { id });
const frames = () =>
  sent.map(({ text }) => {
    const frame = parseFrame(text);
    return { n: frame?.n, ids: frame?.events.map(([, payload]) => (payload as { id: string }).id) };
  });
const settle = () => new Promise((resolve) => setImmediate(resolve));
/** PostgreSQL takes what is under way, and sends it to everybody. */
async function take(): Promise<void> {
  const last = sent.at(-1);
  last?.done();
  await settle();
  bridge.receive(last?.text ?? "");
}

describe("sending", () => {
  beforeEach(() => bridge.open(notify));

  it("sends the first event at once, and together what gathers meanwhile", async () => {
    emit("a");
    emit("b");
    emit("c");
    expect(frames()).toEqual([{ n: 1, ids: ["a"] }]);
    await take();
    expect(frames()[1]).toEqual({ n: 2, ids: ["b", "c"] });
  });

  it("tells an equal event once, where the newest stood", async () => {
    emit("first");
    for (const id of ["connected", "away", "connected", "connected"]) emit(id);
    await take();
    expect(frames()[1]?.ids).toEqual(["away", "connected"]);
  });

  it("sends what comes in the moment in which a frame is done", async () => {
    emit("a");
    sent[0]?.done();
    for (let turn = 0; turn < 5; turn++) {
      emit(`turn ${turn}`);
      await Promise.resolve();
    }
    await settle();
    sent[1]?.done();
    await settle();
    sent[2]?.done();
    await bridge.flush();
    expect(frames().flatMap(({ ids = [] }) => ids)).toEqual([
      "a",
      ...["turn 0", "turn 1", "turn 2", "turn 3", "turn 4"],
    ]);
  });

  it("sends an empty frame when it is time to show that nothing was lost", async () => {
    bridge.beat();
    expect(frames()).toEqual([{ n: 1, ids: [] }]);
  });

  it("leaves a gap for a frame that may be lost", async () => {
    emit("a");
    sent[0]?.fail();
    await bridge.flush();
    bridge.close();
    bridge.open(notify);
    emit("b");
    expect(frames()[1]).toEqual({ n: 2, ids: ["b"] });
    bridge.receive(writeFrame("other", 1, []));
    expect(missed).toBe(0);
  });

  it("leaves a gap for what happened while there was no connection", async () => {
    emit("a");
    emit("waits");
    bridge.close();
    emit("lost");
    sent[0]?.fail();
    await bridge.flush();
    bridge.open(notify);
    emit("b");
    expect(frames()[1]?.ids).toEqual(["b"]);
    expect(frames()[1]?.n).toBeGreaterThan(2);
  });

  it("leaves a gap for an event that is too large, and sends the others", async () => {
    emit("a");
    emit("x".repeat(8_000));
    emit("b");
    await take();
    expect(frames()[1]).toEqual({ n: 3, ids: ["b"] });
  });

  it("keeps a bounded number of events when the database is slow", async () => {
    for (let i = 0; i < 25_000; i++) emit(`${i}`);
    for (let done = 0; done < sent.length; done++) {
      sent[done]?.done();
      await settle();
    }
    const ids = frames().flatMap((frame) => frame.ids ?? []);
    expect(ids.length).toBeLessThanOrEqual(10_001);
    expect(ids.at(-1)).toBe("24999");
    expect(frames()[1]?.n).toBeGreaterThan(2);
  });

  it("knows whether its frames come back", async () => {
    expect(bridge.isHeard).toBe(true);
    emit("a");
    sent[0]?.done();
    await settle();
    expect(bridge.isHeard).toBe(false);
    bridge.receive(sent[0]?.text ?? "");
    expect(bridge.isHeard).toBe(true);
    emit("x".repeat(8_000));
    expect(bridge.isHeard).toBe(true);
  });
});

it("before there is a connection nothing is sent, and the first frame says that something is missing", () => {
  emit("early");
  bridge.open(notify);
  bridge.beat();
  expect(frames()).toEqual([{ n: 2, ids: [] }]);
});

describe("receiving", () => {
  it("wakes with another replica's events, not again with its own", () => {
    bridge.receive(writeFrame("other", 1, [eventOf("a"), eventOf("b")]));
    bridge.receive(writeFrame("me", 1, [eventOf("own")]));
    expect(heard).toEqual(["a", "b"]);
    expect(missed).toBe(0);
  });

  it("tells of a gap after the events behind it", () => {
    bridge.receive(writeFrame("other", 1, []));
    bridge.receive(writeFrame("other", 3, [eventOf("c")]));
    bridge.receive(writeFrame("other", 4, []));
    expect([heard, missed]).toEqual([["c"], 1]);
  });

  it("counts each sender for itself", () => {
    for (const from of ["one", "two", "three"]) bridge.receive(writeFrame(from, 1, []));
    for (const from of ["one", "two", "three"]) bridge.receive(writeFrame(from, 2, []));
    expect([missed, strangers]).toEqual([0, 3]);
  });

  it("takes a sender for incomplete whose beginning it did not hear", () => {
    bridge.receive(writeFrame("other", 57, []));
    expect(missed).toBe(1);
  });

  it("takes a late frame's events, and no gap from it", () => {
    for (const n of [1, 2, 3]) bridge.receive(writeFrame("other", n, []));
    bridge.receive(writeFrame("other", 2, [eventOf("late")]));
    bridge.receive(writeFrame("other", 4, []));
    expect([heard, missed]).toEqual([["late"], 0]);
  });

  it("takes a replica that was lost and comes back for incomplete", () => {
    bridge.receive(writeFrame("other", 1, []));
    bridge.forget("other");
    bridge.receive(writeFrame("other", 2, []));
    expect([missed, strangers]).toEqual([1, 2]);
  });

  it("skips what this version does not know, and takes the rest of the frame", () => {
    const unknown = JSON.stringify(["things.of_the_future", { id: 1 }]);
    bridge.receive(
      writeFrame("other", 1, [unknown, JSON.stringify([changed.name, { id: 5 }]), eventOf("a")]),
    );
    expect([heard, missed]).toEqual([["a"], 0]);
  });

  it("never throws, whatever anybody writes into the channel", () => {
    const almost = fc
      .tuple(fc.string({ minLength: 1 }), fc.integer(), fc.array(fc.tuple(fc.string(), fc.jsonValue())))
      .map(([from, n, events]) =>
        writeFrame(
          from,
          n,
          events.map((event) => JSON.stringify(event)),
        ),
      );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), almost), (text) => bridge.receive(text)),
      { numRuns: 3_000 },
    );
  });
});
