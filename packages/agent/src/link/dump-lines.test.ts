/** Downloads over a connection: never more than was asked for, one after the other, and an end that tells the truth. */
import type { AgentMessage, DumpStart } from "@restic-manager/protocol";
import { pino } from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import { DUMP_CHUNK_BYTES, DumpLines, type DumpSource } from "./dump-lines.ts";

const ID = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const request = (id = ID): DumpStart => ({
  ...{ type: "dump.start", request_id: id, snapshot_id: "ab".repeat(32), paths: ["/a"], format: "raw" },
});

let sent: AgentMessage[];
let read: number;
let ended: boolean;
let arrived: () => void;
let lines: DumpLines;

const chunks = () => sent.flatMap((message) => (message.type === "dump.chunk" ? message : []));
const ends = () => sent.flatMap((message) => (message.type === "dump.end" ? message : []));
const bytes = () => Buffer.concat(chunks().map(({ data }) => Buffer.from(data, "base64")));

/** Lets everything happen that can. */
const settle = () => new Promise((resolve) => setImmediate(resolve));
async function until(wanted: () => boolean): Promise<void> {
  while (!wanted())
    await new Promise<void>((resolve) => {
      arrived = resolve;
    });
}

/** Pieces of one letter each: `a`, `b`, …, then an end. */
const pieces = (sizes: number[], error: { code: string; message: string } | null = null): DumpSource =>
  async function* source() {
    try {
      for (const [index, size] of sizes.entries()) {
        read += 1;
        yield Buffer.alloc(size, 97 + index);
      }
      return error;
    } finally {
      ended = true;
    }
  };

function open(source: DumpSource): void {
  const send = async (message: AgentMessage) => {
    sent.push(message);
    arrived();
  };
  lines = new DumpLines({ read: source, log: pino({ level: "silent" }), send });
}

beforeEach(() => {
  sent = [];
  read = 0;
  ended = false;
  arrived = () => undefined;
});

describe("a download", () => {
  it("sends nothing before it was asked for, and then no more than that", async () => {
    open(pieces([DUMP_CHUNK_BYTES, DUMP_CHUNK_BYTES, DUMP_CHUNK_BYTES, DUMP_CHUNK_BYTES]));
    lines.start(request());
    await settle();
    expect(chunks()).toEqual([]);
    lines.grant(ID, 2);
    await until(() => chunks().length === 2);
    await settle();
    expect(chunks().map(({ n }) => n)).toEqual([0, 1]);
    expect(read).toBeLessThanOrEqual(3);
    await lines.stop();
  });

  it("makes chunks of one size out of pieces of any and loses no byte", async () => {
    const sizes = [1, DUMP_CHUNK_BYTES - 1, 7, 2 * DUMP_CHUNK_BYTES + 3, 0, 100];
    open(pieces(sizes));
    lines.start(request());
    lines.grant(ID, 8);
    await until(() => ends().length === 1);
    expect(bytes()).toEqual(Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, 97 + index))));
    expect(chunks().map(({ data }) => Buffer.from(data, "base64").length)).toEqual([
      ...[DUMP_CHUNK_BYTES, DUMP_CHUNK_BYTES, DUMP_CHUNK_BYTES, 110],
    ]);
    expect(ends()[0]?.error).toBeNull();
  });

  it("of nothing is an end and no chunk", async () => {
    open(pieces([]));
    lines.start(request());
    await until(() => ends().length === 1);
    expect(chunks()).toEqual([]);
  });

  it("says at its end that it is not the whole", async () => {
    open(pieces([DUMP_CHUNK_BYTES], { code: "restic.killed", message: "restic was killed." }));
    lines.start(request());
    lines.grant(ID, 1);
    await until(() => ends().length === 1);
    expect(ends()[0]?.error?.code).toBe("restic.killed");
  });

  it("says so too when reading throws", async () => {
    open(async function* broken() {
      yield Buffer.from("x");
      throw new Error("the disk is gone");
    });
    lines.start(request());
    await until(() => ends().length === 1);
    expect(ends()[0]?.error).toMatchObject({
      code: "dump.failed",
      message: expect.stringContaining("disk is gone"),
    });
  });

  it("ends what it reads from when it is cancelled, and says nothing more", async () => {
    open(pieces([DUMP_CHUNK_BYTES, DUMP_CHUNK_BYTES]));
    lines.start(request());
    lines.grant(ID, 1);
    await until(() => chunks().length === 1);
    lines.cancel(ID);
    await lines.stop();
    expect([ended, chunks().length, ends()]).toEqual([true, 1, []]);
  });

  it("ends with its connection", async () => {
    open(pieces([DUMP_CHUNK_BYTES]));
    lines.start(request());
    await settle();
    await lines.stop();
    expect([ended, sent]).toEqual([true, []]);
  });

  it("that comes a third time at once is refused, and the same one twice is one", async () => {
    open(pieces([DUMP_CHUNK_BYTES]));
    const other = "01KAQ2W4T9B3E6R8M1N5P7S0VY";
    const third = "01KAQ2W4T9B3E6R8M1N5P7S0VZ";
    for (const id of [ID, ID, other, third]) lines.start(request(id));
    await until(() => ends().length === 1);
    expect(ends()).toMatchObject([{ request_id: third, error: { code: "dump.busy" } }]);
    await lines.stop();
  });

  it("takes credit and a cancel of nothing that is known for nothing", () => {
    open(pieces([]));
    lines.grant(ID, 1);
    lines.cancel(ID);
    expect(sent).toEqual([]);
  });
});
