/** A job live in browsers, and its log as a download: complete, resumable, bounded, for the right eyes only. */
import {
  connectTestAgent,
  finishedOf,
  linesOf,
  logOf,
  progressOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  watchJob,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let agent: TestAgent;
let run: { job_id: string; attempt: number };
let seq = 0;

beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server);
  await agent.hello();
  run = await agent.nextMessage("command.run");
  agent.send(startedOf(run, 1));
  seq = 1;
});
afterEach(() => server.stop());

/** Sends lines as the agent does and waits until they are committed. */
async function write(from: number, to: number, text?: (n: number) => string): Promise<void> {
  agent.send(logOf(run, ++seq, linesOf(from, to, text)));
  await agent.acknowledged(seq);
}

async function finish(lineCount: number): Promise<void> {
  agent.send(finishedOf(run, ++seq, { log_lines: lineCount }));
  await agent.acknowledged(seq);
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("a browser on a running job", () => {
  it("gets the lines so far, then each new one, then the end and nothing after it", async () => {
    await write(1, 3);
    const browser = await watchJob(server, run.job_id);
    await server.until("the first lines came", () => browser.lineNumbers.length === 3);
    await write(4, 5);
    await server.until("the next came", () => browser.lineNumbers.length === 5);
    expect(browser.ended).toBe(false);
    await finish(5);
    await server.until("the stream is closed", () => browser.closedWith !== null);
    expect(browser.closedWith).toBe(1000);
    expect(browser.lineNumbers).toEqual(numbers(1, 5));
    expect(browser.received[0]).toMatchObject({ type: "job", job: { status: "running" } });
    expect(browser.received.slice(-2)).toMatchObject([
      { type: "job", job: { status: "succeeded" } },
      { type: "end" },
    ]);
  });

  it("does not end before lines that are still on their way", async () => {
    const browser = await watchJob(server, run.job_id);
    agent.send(logOf(run, 2, linesOf(1, 2)));
    agent.send(finishedOf(run, 3, { log_lines: 4 }));
    agent.send(logOf(run, 4, linesOf(3, 4)));
    await server.until("the end came", () => browser.ended);
    expect(browser.lineNumbers).toEqual([1, 2, 3, 4]);
  });

  it("resumes at any line without a gap and without a double", async () => {
    await write(1, 50);
    await write(51, 100);
    for (const from of [1, 2, 50, 51, 75, 100, 101]) {
      const browser = await watchJob(server, run.job_id, { from });
      const wanted = numbers(from, 100);
      await server.until("what is left came", () => browser.lineNumbers.length >= wanted.length);
      expect(browser.lineNumbers).toEqual(wanted);
      browser.socket.terminate();
    }
  });

  it("misses and doubles nothing however often it dials again while lines come", async () => {
    const seen: number[] = [];
    for (let round = 0; round < 10; round++) {
      const browser = await watchJob(server, run.job_id, { from: seen.length + 1 });
      await write(round * 10 + 1, round * 10 + 10);
      await server.until("some lines came", () => browser.lineNumbers.length > 0);
      browser.socket.terminate();
      seen.push(...browser.lineNumbers);
    }
    await finish(100);
    const last = await watchJob(server, run.job_id, { from: seen.length + 1 });
    await server.until("the end came", () => last.ended);
    expect([...seen, ...last.lineNumbers]).toEqual(numbers(1, 100));
  });

  it("sees what another browser sees, and progress without log", async () => {
    const browsers = [await watchJob(server, run.job_id), await watchJob(server, run.job_id)];
    agent.send(progressOf(run, { percent_done: 0.5 }));
    await write(1, 20);
    await finish(20);
    for (const browser of browsers) {
      await server.until("the end came", () => browser.ended);
      expect(browser.lineNumbers).toEqual(numbers(1, 20));
      expect(browser.received.some((message) => message.type === "progress")).toBe(true);
    }
  });

  it("gets a finished job at once and whole", async () => {
    await write(1, 5);
    await finish(5);
    const browser = await watchJob(server, run.job_id, { from: 3 });
    await server.until("the end came", () => browser.ended);
    expect(browser.lineNumbers).toEqual([3, 4, 5]);
  });

  it("goes on through a restart of the server by dialling again", async () => {
    await write(1, 5);
    const before = await watchJob(server, run.job_id);
    await server.until("the lines came", () => before.lineNumbers.length === 5);
    await server.restart();
    await server.until("the old stream is closed", () => before.closedWith !== null);
    await agent.connect({ jobs: [{ job_id: run.job_id, attempt: run.attempt, state: "running" }] });
    const after = await watchJob(server, run.job_id, { from: 6 });
    await write(6, 8);
    await finish(8);
    await server.until("the end came", () => after.ended);
    expect(after.lineNumbers).toEqual([6, 7, 8]);
  });
});

describe("a live stream", () => {
  it("is for viewers, not for strangers and not for pages of other sites", async () => {
    const viewer = await server.signIn("viewer");
    const browser = await watchJob(server, run.job_id, { client: viewer });
    await server.until("the job came", () => browser.received.length > 0);
    await expect(watchJob(server, run.job_id, { client: server.anonymous() })).rejects.toThrow("401");
    await expect(watchJob(server, run.job_id, { origin: "https://evil.example" })).rejects.toThrow("403");
  });

  it("of a job that does not exist is closed", async () => {
    const browser = await watchJob(server, "01KAQ2XK3M5N7P9Q1R3S5T7V9W");
    await server.until("it is closed", () => browser.closedWith !== null);
    expect(browser.closedWith).toBe(1011);
  });

  it("without the upgrade tells what to do", async () => {
    expect((await server.admin.get(`/api/jobs/${run.job_id}/stream`)).status).toBe(426);
  });
});

/** The most that waits in any socket of the server for its reader. */
const mostUnsent = () =>
  Math.max(0, ...[...server.server.app.websocketServer.clients].map((socket) => socket.bufferedAmount));
/** Half a MiB and the largest message that may follow it. */
const unsentLimit = 2 * 1024 * 1024;

describe("a browser that never reads", () => {
  it("stays within its bound, is let go after a minute, and slows neither job nor other readers", async () => {
    const stuck = await watchJob(server, run.job_id);
    const reader = await watchJob(server, run.job_id);
    stuck.socket.pause();
    const since = server.clock.now();
    let most = 0;
    for (let chunk = 0; chunk < 100; chunk++) {
      await write(chunk * 500 + 1, chunk * 500 + 500, (n) => `${n} ${"x".repeat(200)}`);
      most = Math.max(most, mostUnsent());
    }
    await finish(50_000);
    const read = () => {
      most = Math.max(most, mostUnsent());
      return reader.ended;
    };
    await server.until("the other reader has everything", read, 100);
    expect(reader.lineNumbers).toEqual(numbers(1, 50_000));
    expect(most).toBeLessThan(unsentLimit);
    const left = () =>
      [...server.server.app.websocketServer.clients].filter((socket) => socket.bufferedAmount > 0);
    await server.until("the stuck reader is let go", () => left().length === 0, 1000);
    expect(server.clock.now() - since).toBeGreaterThanOrEqual(60_000);
    expect(server.clock.now() - since).toBeLessThan(75_000);
  });

  it("stays within its bound when nothing but progress comes", async () => {
    const stuck = await watchJob(server, run.job_id);
    await server.until("the stream began", () => stuck.received.length > 0);
    stuck.socket.pause();
    const files = Array.from({ length: 16 }, () => "x".repeat(30_000));
    for (let i = 0; i < 60; i++) {
      agent.send(progressOf(run, { current_files: files, files_done: i }));
      // An event that is refused: its acknowledgement proves that the progress before it was read.
      agent.send(logOf({ ...run, attempt: 99 }, ++seq, linesOf(1, 1)));
      await agent.acknowledged(seq);
      expect(mostUnsent()).toBeLessThan(unsentLimit);
    }
  });
});

describe("a browser that is too slow", () => {
  it("is told which lines it misses and goes on near the end, without a double", async () => {
    const slow = await watchJob(server, run.job_id);
    await server.until("the stream began", () => slow.received.length > 0);
    slow.socket.pause();
    for (let chunk = 0; chunk < 100; chunk++) {
      await write(chunk * 500 + 1, chunk * 500 + 500, (n) => `${n} ${"x".repeat(200)}`);
    }
    await server.clock.advance(10_000);
    slow.socket.resume();
    await finish(50_000);
    await server.until("the slow reader has the end", () => slow.ended, 100);
    const [lagged] = slow.received.filter((message) => message.type === "lagged");
    const { from = 0, to = 0 } = lagged ?? {};
    expect(to - from).toBeGreaterThan(5000);
    expect(slow.lineNumbers).toEqual([...numbers(1, from - 1), ...numbers(to + 1, 50_000)]);
  });
});

describe("a log with a hole", () => {
  it("is told as such and goes on behind it, instead of leaving the reader waiting", async () => {
    await write(1, 3);
    await write(11, 12);
    const browser = await watchJob(server, run.job_id);
    await server.until("the lines came", () => browser.lineNumbers.length === 5);
    expect(browser.lineNumbers).toEqual([1, 2, 3, 11, 12]);
    expect(browser.received.find((message) => message.type === "lagged")).toMatchObject({ from: 4, to: 10 });
  });
});

describe("a log of 100,000 lines", () => {
  it("is stored and downloaded piece by piece, as text and as NDJSON", async () => {
    for (let chunk = 0; chunk < 100; chunk++) {
      agent.send(logOf(run, ++seq, linesOf(chunk * 1000 + 1, chunk * 1000 + 1000)));
    }
    await agent.acknowledged(seq);
    await finish(100_000);
    for (const ending of ["txt", "ndjson"]) {
      const answer = await server.admin.fetch(`/api/jobs/${run.job_id}/log.${ending}`);
      expect(answer.status).toBe(200);
      let lines = 0;
      let largest = 0;
      for await (const piece of answer.body ?? []) {
        largest = Math.max(largest, piece.length);
        for (const byte of piece) if (byte === 10) lines++;
      }
      expect(lines).toBe(100_000);
      expect(largest).toBeLessThan(1024 * 1024);
    }
  });
});

describe("odd lines", () => {
  it("come through the stream and both downloads as they were, one line each", async () => {
    const odd = [
      "</script><script>alert(1)</script>",
      "\u001b[31mred\u0000",
      "\ufffd",
      "",
      "two\nlines",
      "\u2028",
    ];
    await write(1, odd.length, (n) => odd[n - 1] ?? "");
    await finish(odd.length);
    const browser = await watchJob(server, run.job_id);
    await server.until("the end came", () => browser.ended);
    const texts = browser.received.flatMap((message) => (message.lines ?? []).map((line) => line.text));
    expect(texts).toEqual(odd);
    const ndjson = (await server.admin.get(`/api/jobs/${run.job_id}/log.ndjson`)).text.trimEnd().split("\n");
    expect(ndjson.map((line) => (JSON.parse(line) as { text: string }).text)).toEqual(odd);
    const page = (await server.admin.get(`/jobs/${run.job_id}`)).text;
    expect(page).not.toContain("<script>alert");
    expect(page).toContain("alert(1)");
    const answer = await server.admin.get(`/api/jobs/${run.job_id}/log.txt`);
    expect(answer.headers.get("content-disposition")).toContain("attachment");
    const lines = answer.text.trimEnd().split("\n");
    expect(lines).toHaveLength(odd.length);
    expect(lines[1]).toContain("\\u001b[31mred\\u0000");
    expect(lines[4]).toContain("two\\nlines");
  });
});
