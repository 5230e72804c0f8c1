import { describe, expect, it } from "vitest";
import { EventBus, topic } from "./events.ts";
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
