import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { EventBus, sharedTopic, topic } from "./events.ts";
import { createLog } from "./log.ts";

const changed = topic<{ id: string }>("things.changed");
const removed = topic<{ id: string }>("things.removed");

function busWithLog() {
  const lines: string[] = [];
  return { lines, bus: new EventBus(createLog("error", { write: (line) => lines.push(line) })) };
}

describe("the event bus", () => {
  it("wakes every listener of a topic, and of no other", () => {
    const { bus } = busWithLog();
    const heard: string[] = [];
    bus.on(changed, ({ id }) => heard.push(`one ${id}`));
    bus.on(changed, ({ id }) => heard.push(`two ${id}`));
    bus.on(removed, ({ id }) => heard.push(`removed ${id}`));
    bus.emit(changed, { id: "a" });
    expect(heard).toEqual(["one a", "two a"]);
  });

  it("says nothing to whoever has left, even when it leaves while others are woken", () => {
    const { bus } = busWithLog();
    const heard: string[] = [];
    const leave = bus.on(changed, () => {
      heard.push("once");
      leave();
    });
    bus.on(changed, () => heard.push("stays"));
    bus.emit(changed, { id: "a" });
    bus.emit(changed, { id: "a" });
    expect(heard).toEqual(["once", "stays", "stays"]);
    leave();
  });

  it("wakes the others when one listener throws, and logs it with the topic", () => {
    const { bus, lines } = busWithLog();
    const heard: string[] = [];
    bus.on(changed, () => {
      throw new Error("broken listener");
    });
    bus.on(changed, () => heard.push("still woken"));
    expect(() => bus.emit(changed, { id: "a" })).not.toThrow();
    expect(heard).toEqual(["still woken"]);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      topic: "things.changed",
      err: { message: "broken listener" },
    });
  });
});

const line = z.object({ jobId: z.string(), lines: z.array(z.string()).default([]) });
const grew = sharedTopic<z.output<typeof line>>("things.grew", {
  payload: line,
  toWire: ({ jobId }) => (jobId === "secret" ? undefined : { jobId }),
});

describe("a shared topic", () => {
  it("wakes listeners here at once, and goes to the bridge in its form for the wire", () => {
    const { bus } = busWithLog();
    const heard: unknown[] = [];
    bus.on(grew, ({ lines }, origin) => heard.push([lines, origin]));
    bus.connect((name, wire) => heard.push([name, wire]));
    bus.emit(grew, { jobId: "a", lines: ["x"] });
    expect(heard).toEqual([
      [["x"], "here"],
      ["things.grew", { jobId: "a" }],
    ]);
  });

  it("stays here when its topic says so, when it is not shared, and when no bridge is there any more", () => {
    const { bus } = busWithLog();
    const sent: unknown[] = [];
    bus.connect((name, wire) => sent.push([name, wire]));
    bus.emit(grew, { jobId: "secret", lines: [] });
    bus.emit(changed, { id: "a" });
    bus.connect(null);
    bus.emit(grew, { jobId: "a", lines: [] });
    expect(sent).toEqual([]);
  });

  it("that another replica sent wakes listeners here, and is not sent on", () => {
    const { bus } = busWithLog();
    const heard: unknown[] = [];
    bus.on(grew, (payload, origin) => heard.push([payload, origin]));
    bus.connect(() => heard.push("sent on"));
    bus.deliver("things.grew", { jobId: "a" });
    expect(heard).toEqual([[{ jobId: "a", lines: [] }, "replica"]]);
  });

  it("whatever another replica sends, nothing throws and only what is understood wakes", () => {
    const { bus } = busWithLog();
    const heard: unknown[] = [];
    bus.on(grew, (payload) => heard.push(payload));
    const name = fc.oneof(fc.constant("things.grew"), fc.string());
    fc.assert(
      fc.property(name, fc.jsonValue(), (topicName, wire) => bus.deliver(topicName, wire)),
      { numRuns: 500 },
    );
    expect(heard.filter((payload) => !line.safeParse(payload).success)).toEqual([]);
  });
});
