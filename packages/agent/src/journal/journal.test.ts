/** The journal and the log of a job: over crashes, full outboxes and full disks. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogLine } from "@restic-manager/protocol";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { type AppendOutcome, type EventDraft, type JobPosition, Outbox } from "../link/outbox.ts";
import { defaultOutboxLimits } from "../link/outbox-limits.ts";
import { AgentError } from "../platform/errors.ts";
import { freshPosition, JobLog, type LineDraft } from "./job-log.ts";
import { Journal, type JournalEntry } from "./journal.ts";

const JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const silent = pino({ level: "silent" });

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-journal-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const entry: JournalEntry = {
  ...{ version: 1, job_id: JOB, attempt: 1, spec: { kind: "init" } },
  ...{ cancel_requested: false, missing_sources: null },
};

describe("the journal", () => {
  test("knows its jobs after a restart, and forgets them for good", async () => {
    const first = await Journal.open(dir, silent);
    await first.add(entry);
    await Promise.all([
      first.change(JOB, { cancel_requested: true }),
      first.change(JOB, { missing_sources: ["/gone"] }),
    ]);
    const second = await Journal.open(dir, silent);
    expect(second.listEntries()).toEqual([{ ...entry, cancel_requested: true, missing_sources: ["/gone"] }]);
    await second.remove(JOB);
    await second.remove(JOB);
    expect((await Journal.open(dir, silent)).listEntries()).toEqual([]);
  });

  test("removes a directory that was never acknowledged, keeps one that it can't read", async () => {
    const unreadable = "01KAQ2W4T9B3E6R8M1N5P7S0VZ";
    await mkdir(join(dir, JOB));
    await mkdir(join(dir, unreadable));
    await mkdir(join(dir, "something else"));
    await writeFile(join(dir, unreadable, "state.json"), "{");
    expect((await Journal.open(dir, silent)).listEntries()).toEqual([]);
    expect((await readdir(dir)).sort()).toEqual([unreadable, "something else"].sort());
  });
});

test.each([
  ["no JSON", '{"spec":{"pre_hook":{"script":"hush'],
  ["of another version", '{"version":2,"spec":{"pre_hook":{"script":"hush"}}}'],
])("a state that is %s is named in the log and never quoted: it may hold a script", async (_why, state) => {
  const lines: string[] = [];
  await mkdir(join(dir, JOB));
  await writeFile(join(dir, JOB, "state.json"), state);
  await Journal.open(dir, pino({}, { write: (line: string) => lines.push(line) }));
  expect(lines.join("")).toContain(JOB);
  expect(lines.join("")).not.toContain("hush");
});

/** An outbox in memory that does as it is told. */
class FakeOutbox {
  readonly stored: { draft: EventDraft; position: JobPosition | undefined }[] = [];
  full = false;
  broken = false;

  append(draft: EventDraft, position?: JobPosition, force = false): Promise<AppendOutcome> {
    if (this.broken) return Promise.reject(new AgentError("outbox.write_failed", "The disk is full."));
    if (this.full && !force) return Promise.resolve({ kind: "full" });
    this.stored.push({ draft, position });
    return Promise.resolve({ kind: "stored", seq: this.stored.length });
  }

  lines(): LogLine[] {
    return this.stored.flatMap(({ draft }) => (draft.type === "log.stream" ? draft.lines : []));
  }
}

const line = (text: string): LineDraft => ({ level: "info", stream: "stdout", text });

function createLog(position = freshPosition(1)) {
  const clock = new AgentFakeClock();
  const outbox = new FakeOutbox();
  const stopping = new AbortController();
  // The log uses nothing of the outbox but append.
  const deps = { clock, log: silent, outbox: outbox as unknown as Outbox, signal: stopping.signal };
  return { clock, outbox, stopping, log: new JobLog(deps, JOB, position) };
}

describe("the log of a job", () => {
  test("is stored at the latest 200 ms after a line, as one batch with its position", async () => {
    const { clock, outbox, log } = createLog();
    await log.add(line("a"), { stream: "stdout", endOffset: 10 });
    await log.add(line("b"), { stream: "stderr", endOffset: 7 });
    await clock.advance(199);
    expect(outbox.stored).toEqual([]);
    await clock.advance(1);
    await log.flush();
    expect(outbox.stored).toHaveLength(1);
    expect(outbox.lines()).toMatchObject([
      { n: 1, text: "a" },
      { n: 2, text: "b" },
    ]);
    expect(outbox.stored[0]?.position).toMatchObject({ logLines: 2, stdoutOffset: 10, stderrOffset: 7 });
  });

  test("is stored at once at 500 lines or 256 KiB", async () => {
    const { outbox, log } = createLog();
    for (let n = 0; n < 500; n += 1) await log.add(line("x"));
    expect(outbox.stored).toHaveLength(1);
    for (let n = 0; n < 16; n += 1) await log.add(line("y".repeat(16_384)));
    expect(outbox.stored).toHaveLength(2);
  });

  test("cuts a line that is too long and says so", async () => {
    const { outbox, log } = createLog();
    await log.add(line("😀".repeat(20_000)));
    await log.flush();
    const [stored] = outbox.lines();
    expect(stored?.text.length).toBeLessThanOrEqual(16_384);
    expect(stored?.text).toMatch(/ … \[line cut\]$/);
    expect(stored?.text.isWellFormed()).toBe(true);
  });

  test("taken up by another agent goes on with the next number and knows what was told", async () => {
    const { outbox, log } = createLog({ ...freshPosition(1), logLines: 41, stderrOffset: 100 });
    expect(log.isTold({ stream: "stderr", endOffset: 100 })).toBe(true);
    expect(log.isTold({ stream: "stderr", endOffset: 101 })).toBe(false);
    expect(log.isTold({ stream: "stdout", endOffset: 1 })).toBe(false);
    await log.add(line("next"), { stream: "stderr", endOffset: 120 });
    await log.flush();
    expect(outbox.lines()).toMatchObject([{ n: 42 }]);
  });

  test("knows of each part of a job on its own how far it was told, also another agent's", async () => {
    const { outbox, log } = createLog();
    await log.add(line("hook"), { stream: "stdout", endOffset: 10, part: "pre" });
    await log.add(line("restic"), { stream: "stdout", endOffset: 5 });
    await log.flush();
    const { log: second } = createLog(outbox.stored.at(-1)?.position);
    expect(second.isTold({ stream: "stdout", endOffset: 10, part: "pre" })).toBe(true);
    expect(second.isTold({ stream: "stdout", endOffset: 11, part: "pre" })).toBe(false);
    expect(second.isTold({ stream: "stderr", endOffset: 1, part: "pre" })).toBe(false);
    expect(second.isTold({ stream: "stdout", endOffset: 1, part: "post" })).toBe(false);
    expect(second.isTold({ stream: "stdout", endOffset: 6 })).toBe(false);
  });

  test("is closed once: closing lines of a second agent are not told again", async () => {
    const { outbox, log } = createLog();
    await log.close([line("the end")]);
    const { outbox: secondOutbox, log: second } = createLog(outbox.stored.at(-1)?.position);
    await second.close([line("the end")]);
    expect(outbox.lines()).toHaveLength(1);
    expect(secondOutbox.lines()).toEqual([]);
    expect(second.position.logLines).toBe(1);
  });

  test("leaves lines out when the outbox is full, says so once, and says how many when there is room", async () => {
    const { outbox, log } = createLog();
    outbox.full = true;
    for (const text of ["a", "b", "c"]) {
      await log.add(line(text));
      await log.flush();
    }
    expect(outbox.lines()).toMatchObject([{ n: 1, stream: "agent", level: "warning" }]);
    outbox.full = false;
    await log.add(line("d"), { stream: "stdout", endOffset: 40 });
    await log.flush();
    expect(outbox.lines().slice(1)).toMatchObject([
      { n: 2, text: "3 lines were left out here." },
      { n: 3, text: "d" },
    ]);
    expect(log.position).toMatchObject({ logLines: 3, dropping: false, stdoutOffset: 40 });
  });

  test("waits while the disk is full and loses nothing", async () => {
    const { clock, outbox, log } = createLog();
    outbox.broken = true;
    await log.add(line("a"));
    const flushed = log.flush();
    await clock.advance(60_000);
    outbox.broken = false;
    await clock.advance(5_000);
    await flushed;
    expect(outbox.lines()).toMatchObject([{ n: 1, text: "a" }]);
  });

  test("gives up waiting when the agent stops", async () => {
    const { outbox, stopping, log } = createLog();
    outbox.broken = true;
    await log.add(line("a"));
    const flushed = log.flush();
    stopping.abort(new Error("stopping"));
    await expect(flushed).rejects.toThrow();
    expect(outbox.stored).toEqual([]);
  });
});

test("the position in a real outbox is that of the last batch after a crash", async () => {
  const open = () =>
    Outbox.open({ dir, newId: () => "01KAQ2V0C5D7F9H2J4K6M8N0PR", log: silent, limits: defaultOutboxLimits });
  const outbox = await open();
  const clock = new AgentFakeClock();
  const log = new JobLog(
    { clock, log: silent, outbox, signal: new AbortController().signal },
    JOB,
    freshPosition(1),
  );
  await log.add(line("stored"), { stream: "stdout", endOffset: 7 });
  await log.flush();
  await log.add(line("not stored"), { stream: "stdout", endOffset: 18 });
  const afterCrash = await open();
  expect(afterCrash.positionOf(JOB)).toMatchObject({ logLines: 1, stdoutOffset: 7 });
  await outbox.close();
  await afterCrash.close();
});
