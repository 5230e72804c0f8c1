/** The outbox over crashes, refusals, full disks and servers that forget. */
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  rmdir,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import { type EventDraft, type JobPosition, Outbox } from "./outbox.ts";
import { defaultOutboxLimits, type OutboxLimits } from "./outbox-limits.ts";

const JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const AT = "2026-11-23T04:12:10.000Z";

let dir: string;
let open: Outbox[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-outbox-"));
  open = [];
});
afterEach(async () => {
  for (const outbox of open) await outbox.close().catch(() => undefined);
  await rm(dir, { recursive: true, force: true });
});

async function openOutbox(limits: Partial<OutboxLimits> = {}): Promise<Outbox> {
  const outbox = await Outbox.open({
    dir,
    newId: () => createId(1_763_870_000_000, systemRandom()),
    log: pino({ level: "silent" }),
    limits: { ...defaultOutboxLimits, ...limits },
  });
  open.push(outbox);
  return outbox;
}

const position = (logLines: number, change: Partial<JobPosition> = {}): JobPosition => ({
  ...{ attempt: 1, logLines, stdoutOffset: logLines * 10, stderrOffset: 0 },
  ...{ started: true, dropping: false, closed: false, finished: false },
  ...change,
});
const started: EventDraft = { type: "job.started", job_id: JOB, attempt: 1, at: AT };
const logEvent = (n: number, text = `line ${n}`): EventDraft => ({
  ...{ type: "log.stream", job_id: JOB, attempt: 1 },
  lines: [{ n, at: AT, level: "info", stream: "stdout", text }],
});
const finish: EventDraft = {
  ...{ type: "job.finished", job_id: JOB, attempt: 1, at: AT, status: "succeeded", error: null },
  ...{ exit_code: 0, summary: null, log_lines: 0 },
};

/** Stores `count` log events with their positions. */
async function fill(outbox: Outbox, count: number, from = 1): Promise<void> {
  for (let n = from; n < from + count; n += 1) await outbox.append(logEvent(n), position(n));
}

/** The numbers of everything the window lets out now. */
async function sent(outbox: Outbox): Promise<number[]> {
  const numbers: number[] = [];
  for (let event = await outbox.next(); event !== undefined; event = await outbox.next())
    numbers.push(event.seq);
  return numbers;
}

const eventFile = async () => {
  const name = (await readdir(dir)).find((entry) => entry.startsWith("events-"));
  return join(dir, name ?? "");
};

describe("order and numbers", () => {
  test("events get numbers from 1 without a gap and leave in order", async () => {
    const outbox = await openOutbox();
    await Promise.all([outbox.append(started), outbox.append(logEvent(1)), outbox.append(finish)]);
    expect(await sent(outbox)).toEqual([1, 2, 3]);
  });

  test("numbers go on after everything was acknowledged and the agent restarted", async () => {
    const first = await openOutbox();
    await first.append(started);
    await sent(first);
    await first.ack(1);
    await first.close();
    const second = await openOutbox();
    expect(second.lastSeq).toBe(1);
    expect(await second.append(finish)).toEqual({ kind: "stored", seq: 2 });
    expect(second.streamId).toBe(first.streamId);
  });

  test("an event that is appended while the window is open leaves next", async () => {
    const outbox = await openOutbox();
    await outbox.append(started);
    expect(await sent(outbox)).toEqual([1]);
    await outbox.append(logEvent(1));
    expect(await sent(outbox)).toEqual([2]);
  });

  test("the listener hears of every append", async () => {
    const outbox = await openOutbox();
    let heard = 0;
    outbox.onAppended = () => {
      heard += 1;
    };
    await fill(outbox, 3);
    expect(heard).toBe(3);
  });
});

test("an event that breaks its schema is refused at once and takes no number", async () => {
  const outbox = await openOutbox();
  await expect(outbox.append({ ...started, at: "yesterday" })).rejects.toThrow();
  expect(await outbox.append(started)).toEqual({ kind: "stored", seq: 1 });
});

describe("acknowledgement and resending", () => {
  test("after a reconnect everything beyond the acknowledged number is sent again", async () => {
    const outbox = await openOutbox();
    await fill(outbox, 5);
    await sent(outbox);
    await outbox.ack(2);
    expect(await outbox.rewind(3)).toBe("ready");
    expect(await sent(outbox)).toEqual([4, 5]);
  });

  test("the same acknowledgement twice, an older one and one for what was never sent change nothing", async () => {
    const outbox = await openOutbox();
    await fill(outbox, 4);
    await outbox.next();
    await outbox.next();
    await outbox.ack(2);
    await outbox.ack(2);
    await outbox.ack(1);
    await outbox.ack(99);
    expect(await sent(outbox)).toEqual([3, 4]);
  });

  test("the window bounds how many events are under way", async () => {
    const outbox = await openOutbox({ windowFrames: 3 });
    await fill(outbox, 5);
    expect(await sent(outbox)).toEqual([1, 2, 3]);
    await outbox.ack(2);
    expect(await sent(outbox)).toEqual([4, 5]);
  });

  test("the window bounds how many bytes are under way", async () => {
    const outbox = await openOutbox({ windowBytes: 1000 });
    for (let n = 1; n <= 4; n += 1) await outbox.append(logEvent(n, "x".repeat(600)));
    expect(await sent(outbox)).toEqual([1, 2]);
  });

  test("a server that was set back to an older state gets what is still there, in a new stream", async () => {
    const outbox = await openOutbox();
    const before = outbox.streamId;
    await fill(outbox, 4);
    await sent(outbox);
    await outbox.ack(3);
    expect(await outbox.rewind(1)).toBe("diverged");
    expect(outbox.streamId).not.toBe(before);
    expect(await outbox.rewind(0)).toBe("ready");
    expect(await sent(outbox)).toEqual([1]);
  });

  test("a server that was set back waits for no event that is gone, even when nothing is left", async () => {
    const outbox = await openOutbox();
    await fill(outbox, 4);
    await sent(outbox);
    await outbox.ack(4);
    expect(await outbox.rewind(2)).toBe("diverged");
    await fill(outbox, 1);
    expect(await outbox.rewind(0)).toBe("ready");
    expect(await sent(outbox)).toEqual([1]);
  });

  test("a line that can't be read leaves no gap in the numbers: the others get new ones", async () => {
    const first = await openOutbox();
    await fill(first, 3);
    await first.close();
    const lines = (await readFile(await eventFile(), "utf8")).split("\n");
    await writeFile(await eventFile(), [lines[0], "damaged", lines[2], ""].join("\n"));
    const outbox = await openOutbox();
    expect(await outbox.rewind(0)).toBe("diverged");
    expect(await outbox.rewind(0)).toBe("ready");
    expect(await sent(outbox)).toEqual([1, 2]);
  });

  test("a server that knows more than was ever written gets a new stream with what is left", async () => {
    const outbox = await openOutbox();
    const before = outbox.streamId;
    await fill(outbox, 3);
    await outbox.append(finish, position(3, { finished: true }));
    await sent(outbox);
    await outbox.ack(1);
    expect(await outbox.rewind(50)).toBe("diverged");
    expect(outbox.streamId).not.toBe(before);
    await outbox.rewind(0);
    expect(await sent(outbox)).toEqual([1, 2, 3]);
    await outbox.close();
    const reopened = await openOutbox();
    expect(reopened.streamId).toBe(outbox.streamId);
    expect(reopened.awaitsFinish(JOB)).toBe(true);
    expect(await sent(reopened)).toEqual([1, 2, 3]);
    expect((await readdir(dir)).filter((name) => name.startsWith("events-"))).toHaveLength(1);
  });
});

describe("a crash", () => {
  test("a torn last line is cut off and its number used again", async () => {
    const first = await openOutbox();
    await fill(first, 3);
    await first.close();
    await truncate(await eventFile(), (await readFile(await eventFile())).length - 7);
    const second = await openOutbox();
    expect(second.lastSeq).toBe(2);
    expect(second.positionOf(JOB)).toEqual(position(2));
    await second.append(logEvent(3), position(3));
    expect(await sent(second)).toEqual([1, 2, 3]);
  });

  test("a damaged line in the middle is skipped, the others stay", async () => {
    const first = await openOutbox();
    await fill(first, 1);
    await first.close();
    await appendFile(await eventFile(), "{ not json\n");
    const second = await openOutbox();
    await fill(second, 1, 2);
    expect(await sent(second)).toEqual([1, 2]);
  });

  test("at any byte leaves a prefix of what was written, never a gap", async () => {
    const first = await openOutbox();
    await fill(first, 6);
    await first.close();
    const path = await eventFile();
    const whole = await readFile(path);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length }), async (length) => {
        await writeFile(path, whole.subarray(0, length));
        const outbox = await openOutbox();
        const complete = whole.subarray(0, length).toString().split("\n").length - 1;
        expect(await sent(outbox)).toEqual(Array.from({ length: complete }, (_, index) => index + 1));
        expect(outbox.positionOf(JOB)?.logLines).toBe(complete === 0 ? undefined : complete);
        await outbox.close();
      }),
      { numRuns: 40 },
    );
  });

  test("any bytes in the file never keep it from opening", async () => {
    const first = await openOutbox();
    await first.close();
    const path = await eventFile();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await writeFile(path, bytes);
        const outbox = await openOutbox();
        await outbox.append(started);
        expect((await sent(outbox)).at(-1)).toBe(outbox.lastSeq);
        await outbox.close();
      }),
      { numRuns: 40 },
    );
  });

  test("an unreadable state is an error with a sentence and is not overwritten", async () => {
    await (await openOutbox()).close();
    await writeFile(join(dir, "stream.json"), "{");
    await expect(openOutbox()).rejects.toMatchObject({ code: "outbox.unreadable" });
    expect(await readFile(join(dir, "stream.json"), "utf8")).toBe("{");
  });
});

describe("what is dropped and what never is", () => {
  test("acknowledged events leave the file, positions stay, sending goes on where it was", async () => {
    const outbox = await openOutbox({ compactBytes: 500, windowFrames: 10 });
    await fill(outbox, 20);
    const before = (await readFile(await eventFile())).length;
    expect(await sent(outbox)).toHaveLength(10);
    await outbox.ack(10);
    expect(await sent(outbox)).toHaveLength(10);
    await outbox.ack(15);
    expect((await readFile(await eventFile())).length).toBeLessThan(before / 2);
    await outbox.ack(16);
    await outbox.close();
    const again = await openOutbox();
    expect(again.positionOf(JOB)).toEqual(position(20));
    await again.rewind(16);
    expect(await sent(again)).toEqual([17, 18, 19, 20]);
  });

  test("an outbox with nothing left to tell is empty on the disk", async () => {
    const outbox = await openOutbox();
    await outbox.append(started, position(0));
    await outbox.append(finish, position(0, { finished: true }));
    await sent(outbox);
    await outbox.ack(2);
    expect((await readFile(await eventFile())).length).toBe(0);
    expect(outbox.positionOf(JOB)).toBeUndefined();
  });

  test("beyond the size limit log lines are refused, forced lines and results are not", async () => {
    const outbox = await openOutbox({ maxBytes: 600 });
    await outbox.append(logEvent(1, "x".repeat(700)));
    expect(await outbox.append(logEvent(2))).toEqual({ kind: "full" });
    expect(await outbox.append(logEvent(2), position(2), true)).toEqual({ kind: "stored", seq: 2 });
    expect(await outbox.append(finish)).toEqual({ kind: "stored", seq: 3 });
    await sent(outbox);
    await outbox.ack(3);
    expect(await outbox.append(logEvent(3))).toEqual({ kind: "stored", seq: 4 });
  });

  test("a refused event is set aside, and neither blocks nor comes back", async () => {
    const outbox = await openOutbox();
    await fill(outbox, 3);
    await sent(outbox);
    await outbox.refuse(2, "protocol.invalid_message");
    await outbox.refuse(2, "protocol.invalid_message");
    await outbox.ack(1);
    await outbox.refuse(3, "protocol.invalid_message");
    const aside = (await readFile(join(dir, "refused.ndjson"), "utf8")).trim().split("\n");
    expect(aside.map((line) => (JSON.parse(line) as { event: { seq: number } }).event.seq)).toEqual([2, 3]);
    await fill(outbox, 1, 4);
    expect(await sent(outbox)).toEqual([4]);
  });

  test("the end of a job is announced once the server has committed it", async () => {
    const outbox = await openOutbox();
    const reported: string[] = [];
    outbox.onFinishReported = async (jobId) => void reported.push(jobId);
    await outbox.append(started, position(0));
    await outbox.append(finish, position(0, { finished: true }));
    await sent(outbox);
    await outbox.ack(1);
    expect(reported).toEqual([]);
    expect(outbox.awaitsFinish(JOB)).toBe(true);
    await outbox.ack(2);
    expect(reported).toEqual([JOB]);
  });

  test("positions of jobs that the journal does not know are forgotten", async () => {
    const outbox = await openOutbox();
    await outbox.append(started, position(0));
    outbox.retainPositions([]);
    expect(outbox.positionOf(JOB)).toBeUndefined();
  });
});

describe("a disk that can't be written", () => {
  test("because it is full is told in words, and the outbox works again when there is room", async () => {
    const first = await openOutbox();
    await first.append(started);
    await sent(first);
    await first.ack(1);
    await first.close();
    const path = await eventFile();
    await rm(path);
    await symlink("/dev/full", path);
    const full = await openOutbox();
    await expect(full.append(finish)).rejects.toMatchObject({
      code: "outbox.write_failed",
      message: expect.stringContaining("ENOSPC"),
    });
    expect(full.lastSeq).toBe(1);
    await rm(path);
    const again = await openOutbox();
    expect(await again.append(finish)).toEqual({ kind: "stored", seq: 2 });
  });

  test("takes acknowledgements all the same, and makes room once it can", async () => {
    const outbox = await openOutbox();
    await fill(outbox, 2);
    await outbox.append(finish);
    await sent(outbox);
    const state = join(dir, "stream.json");
    await rm(state);
    await mkdir(state);
    await outbox.ack(2);
    await outbox.ack(3);
    expect(outbox.awaitsFinish(JOB)).toBe(false);
    expect((await readFile(await eventFile())).length).toBeGreaterThan(0);
    // The connection comes back, and what the server has is not told again.
    expect(await outbox.rewind(3)).toBe("ready");
    await outbox.append(started);
    expect(await sent(outbox)).toEqual([4]);
    await rmdir(state);
    await outbox.ack(4);
    expect((await readFile(await eventFile())).length).toBe(0);
  });

  test("is an error that says what to do, and nothing is counted", async () => {
    const outbox = await openOutbox();
    await fill(outbox, 1);
    await outbox.close();
    await expect(outbox.append(finish)).rejects.toMatchObject({ code: "outbox.write_failed" });
    expect(outbox.lastSeq).toBe(1);
    expect(outbox.awaitsFinish(JOB)).toBe(false);
  });
});
