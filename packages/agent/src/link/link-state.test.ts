import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { awaitOnline, LinkState, readLinkStatus } from "./link-state.ts";

let dir: string;
let path: string;
let warnings: unknown[];
let clock: AgentFakeClock;
let state: LinkState;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "rm-link-state-"));
  path = join(dir, "link.json");
  warnings = [];
  clock = new AgentFakeClock();
  state = createState(path);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const createState = (file: string) =>
  new LinkState({ path: file, nowMs: () => clock.nowMs(), warn: (error) => warnings.push(error) });

describe("what the server last told", () => {
  test("is unknown before the agent has tried", async () => {
    expect(await readLinkStatus(path)).toEqual({ kind: "unknown" });
  });

  test("is the last word, with the time it became so", async () => {
    const since = new Date(clock.nowMs()).toISOString();
    state.offline("nobody listens");
    state.online();
    await state.written();
    expect(await readLinkStatus(path)).toEqual({ kind: "online", since });
    state.offline("the line was cut");
    await state.written();
    expect(await readLinkStatus(path)).toEqual({ kind: "offline", reason: "the line was cut" });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("is not written again while nothing changes", async () => {
    state.offline("nobody listens");
    await state.written();
    const { ino } = await stat(path);
    state.offline("nobody listens");
    await state.written();
    expect((await stat(path)).ino).toBe(ino);
  });

  test("counts for nothing when its agent has ended", async () => {
    state.online();
    await state.written();
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace(/"startTicks":"\d+"/, '"startTicks":"1"'));
    expect(await readLinkStatus(path)).toEqual({ kind: "unknown" });
  });

  test("may be lost: the agent is warned and works on", async () => {
    const lost = createState(join(dir, "no", "such", "folder"));
    lost.online();
    await lost.written();
    expect(warnings).toHaveLength(1);
  });

  test("is unknown for any bytes that it did not write", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
        await writeFile(path, text);
        expect(await readLinkStatus(path)).toEqual({ kind: "unknown" });
      }),
      { numRuns: 50 },
    );
  });
});

describe("waiting for it", () => {
  test("ends with the connection, or with why there is none", async () => {
    state.offline("nobody listens");
    await state.written();
    const waiting = awaitOnline(path, clock, 10_000);
    // It has looked once and waits for the next look.
    while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
    state.online();
    await state.written();
    const since = new Date(clock.nowMs()).toISOString();
    await clock.advance(1000);
    expect(await waiting).toEqual({ kind: "online", since });
    state.offline("the line was cut");
    await state.written();
    expect(await awaitOnline(path, clock, 0)).toEqual({ kind: "offline", reason: "the line was cut" });
  });
});
