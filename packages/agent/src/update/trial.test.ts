import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { removeFolder } from "../../../testkit/src/remove-folder.ts";
import { readRecord, TRIAL_MS, type UpdatePaths, updatePaths, writeRecord } from "./record.ts";
import { installFresh } from "./swap.ts";
import { Trial } from "./trial.ts";

const JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const log = pino({ level: "silent" });
const platform = process.platform;

let folder: string;
let paths: UpdatePaths;
let clock: AgentFakeClock;
let restarted: Promise<void>;
let restart: () => void;
let trials: Trial[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-trial-"));
  paths = updatePaths(join(folder, "agent"));
  clock = new AgentFakeClock();
  trials = [];
  ({ promise: restarted, resolve: restart } = Promise.withResolvers<void>());
  await writeFile(paths.program, "old");
  await writeFile(paths.fresh, "new");
  await installFresh(paths, { job: JOB, from: "1.0.0", to: "1.1.0" }, platform);
});
afterEach(async () => {
  for (const trial of trials) trial.stop();
  await removeFolder(folder);
});

async function begin(version: string): Promise<Trial> {
  const trial = await Trial.begin({ clock, paths, platform, version, restart });
  trials.push(trial);
  return trial;
}

describe("a new version on trial", () => {
  it("passes with the server's welcome, and the update is over", async () => {
    const trial = await begin("1.1.0");
    expect(trial.standingOf(JOB)).toEqual({ kind: "on_trial" });
    await trial.welcomed(log);
    await trial.passed;
    expect(trial.standingOf(JOB)).toEqual({ kind: "none" });
    expect(existsSync(paths.record)).toBe(false);
    expect(await readFile(paths.program, "utf8")).toBe("new");
    await clock.advance(TRIAL_MS);
    expect(await readFile(paths.program, "utf8")).toBe("new");
  });

  it("passes although its record can't be removed, which the next welcome makes good", async () => {
    const trial = await begin("1.1.0");
    await rename(paths.record, `${paths.record}.kept`);
    await mkdir(paths.record);
    await trial.welcomed(log);
    await trial.passed;
    await rmdir(paths.record);
    await rename(`${paths.record}.kept`, paths.record);
    await trial.welcomed(log);
    expect(existsSync(paths.record)).toBe(false);
    const next = {
      job: "next",
      from: "1.1.0",
      to: "1.2.0",
      program: "",
      starts: 0,
      deadline: 0,
      rolled_back: null,
    };
    await writeRecord(paths.record, next);
    await trial.welcomed(log);
    expect(existsSync(paths.record)).toBe(true);
  });

  it("puts the previous version back and ends when it gets no welcome in its time", async () => {
    const trial = await begin("1.1.0");
    await clock.advance(TRIAL_MS - 1);
    expect(await readFile(paths.program, "utf8")).toBe("new");
    await clock.advance(1);
    await restarted;
    expect(await readFile(paths.program, "utf8")).toBe("old");
    expect((await readRecord(paths.record))?.rolled_back).toContain("no welcome of the server in 90 seconds");
    trial.stop();
    expect((await begin("1.0.0")).standingOf(JOB)).toMatchObject({ kind: "rolled_back" });
  });

  it("is not judged while the agent is being stopped", async () => {
    (await begin("1.1.0")).stop();
    await clock.advance(TRIAL_MS);
    expect(await readFile(paths.program, "utf8")).toBe("new");
    expect((await readRecord(paths.record))?.rolled_back).toBeNull();
  });
});

describe("a version that is not on trial", () => {
  it("is the one from before, when the swap did not happen", async () => {
    const trial = await begin("1.0.0");
    expect(trial.standingOf(JOB)).toEqual({ kind: "none" });
    await trial.welcomed(log);
    expect(existsSync(paths.record)).toBe(true);
    expect(clock.sleeping).toBe(0);
  });

  it("is the same version that somebody has installed by hand since", async () => {
    await writeFile(`${paths.program}.other`, "new");
    await rename(`${paths.program}.other`, paths.program);
    expect((await begin("1.1.0")).standingOf(JOB)).toEqual({ kind: "none" });
    expect(clock.sleeping).toBe(0);
    expect(existsSync(paths.record)).toBe(false);
  });

  it("knows nothing of another job's update", async () => {
    expect((await begin("1.1.0")).standingOf("01KAQ2W4T9B3E6R8M1N5P7S0VY")).toEqual({ kind: "none" });
  });

  it("removes the record of a job that this host does not know any more", async () => {
    const record = {
      job: JOB,
      from: "1.0.0",
      to: "1.1.0",
      program: "",
      starts: 3,
      deadline: 0,
      rolled_back: "It ended.",
    };
    await writeRecord(paths.record, record);
    const trial = await begin("1.0.0");
    await trial.forgetUnless(() => true);
    expect(existsSync(paths.record)).toBe(true);
    await trial.forgetUnless(() => false);
    expect(existsSync(paths.record)).toBe(false);
  });
});
