/** The update job in an agent on a fake server: what is refused, what is taken, and what is left on the disk. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import type { UpdateSpec } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fillDisk, freeDisk } from "../../../testkit/src/small-disk.ts";
import {
  type AgentLab,
  createAgentLab,
  endOf,
  JOB,
  OTHER_JOB,
  runJob,
  startInProgram,
} from "../../fixtures/agent/lab.ts";
import {
  agentScript,
  createKey,
  createRelease,
  installProgram,
  nameOf,
  resticScript,
  type Serving,
  serve,
  updateTo,
} from "../../fixtures/update/release.ts";
import type { RunningAgent } from "../start.ts";

const OLD = "1.0.0";
const NEW = "1.1.0";

let lab: AgentLab;
let program: string;
let release: ReturnType<typeof createRelease>;
let serving: Serving;
let mounts: string[];

beforeEach(async () => {
  mounts = [];
  lab = await createAgentLab();
  lab.server.config = undefined;
  program = join(lab.dir, "opt", "restic-manager-agent");
  await installProgram(program, agentScript(OLD));
  use(createRelease({ [nameOf("restic-manager-agent", NEW)]: agentScript(NEW, "exit 1", 300_000) }));
});
afterEach(async () => {
  await lab.remove();
});
afterEach(() => {
  for (const point of mounts) execFileSync("umount", ["-l", point]);
});

function use(given: typeof release): void {
  release = given;
  serving = serve(release);
  lab.server.onHttp = serving.answer;
}

type Started = { agent: RunningAgent; restarted: Promise<void> };

/** The agent of a version, on the program's place; it ends when the update wants that. */
async function start(
  version: string,
  config = lab.config,
  env: Record<string, string> = {},
): Promise<Started> {
  const { promise: restarted, resolve } = Promise.withResolvers<void>();
  const restart = () => void agent.stop().then(resolve);
  const supervised = { PATH: process.env.PATH, RM_SUPERVISED: "1", ...env };
  const agent = await startInProgram(lab, config, undefined, {
    env: supervised,
    program: { executablePath: program, release: { version, key: release.key.publicKey, restart } },
  });
  return { agent, restarted };
}

const inPlace = () => readFile(program, "utf8");
const filesBeside = async () => (await readdir(dirname(program))).sort();
const lines = () => lab.server.committed.flatMap((event) => (event.type === "log.stream" ? event.lines : []));
const send = (spec: UpdateSpec, jobId = JOB) =>
  lab.server.send({ type: "command.run", job_id: jobId, attempt: 1, spec });

async function expectRefusal(spec: UpdateSpec, code: string, words: string): Promise<void> {
  const end = await runJob(lab, JOB, spec);
  expect(end).toMatchObject({ status: "failed", error: { code } });
  expect(end?.error?.message).toContain(words);
  expect(await inPlace()).toContain(`echo ${OLD};`);
  expect(await filesBeside()).toEqual(["restic-manager-agent"]);
}

describe("an update of the agent", () => {
  test("puts the new version in place, keeps the old one and ends when the new one was welcomed", async () => {
    const { restarted } = await start(OLD);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    send(updateTo(release, NEW));
    await restarted;
    expect(await inPlace()).toContain(`echo ${NEW};`);
    expect(await readFile(`${program}.previous`, "utf8")).toContain(`echo ${OLD};`);
    expect(lab.server.all("job.finished")).toEqual([]);
    await start(NEW);
    await lab.server.until(() => lab.server.all("job.finished").length > 0, "the end");
    expect(lab.server.all("job.finished")[0]).toMatchObject({
      ...{ status: "succeeded", error: null },
      result: { kind: "update", program: "agent", from: OLD, to: NEW },
    });
    expect(lab.server.hellos.at(-1)?.agent_version).toBe(NEW);
    expect(await filesBeside()).toEqual(["restic-manager-agent", "restic-manager-agent.previous"]);
    expect(lines().map(({ n }) => n)).toEqual(lines().map((_, index) => index + 1));
    expect(lines().at(-1)?.text).toContain("welcomed");
  });

  test("to the version that runs changes nothing and succeeds", async () => {
    await start(OLD);
    expect(await runJob(lab, JOB, updateTo(release, OLD))).toMatchObject({ status: "succeeded" });
    expect(serving.asked).toEqual([]);
  });

  test("goes on where the line broke", async () => {
    serving.stopAfter.set(0, 100_000);
    const { restarted } = await start(OLD);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    send(updateTo(release, NEW));
    await lab.server.until(() => lab.server.all("job.progress").length > 0, "progress");
    serving.breakOff();
    await restarted;
    expect(await inPlace()).toContain(`echo ${NEW};`);
    expect(serving.asked).toHaveLength(2);
    // What was in the line when it broke is lost; the digest has shown that the parts fit.
    expect(serving.asked[1]?.from).toBeGreaterThan(0);
    expect(serving.asked[1]?.from).toBeLessThanOrEqual(100_000);
  });

  test("is refused where nothing starts the agent again", async () => {
    await start(OLD, lab.config, { RM_SUPERVISED: "" });
    await expectRefusal(updateTo(release, NEW), "update.no_supervisor", "RM_SUPERVISED=1");
    expect(serving.asked).toEqual([]);
  });
});

describe("an update is refused before anything is downloaded", () => {
  afterEach(() => expect(serving.asked).toEqual([]));

  test("when the list was changed", async () => {
    await start(OLD);
    const sums = release.sums.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    await expectRefusal({ ...updateTo(release, NEW), sums }, "update.signature_invalid", "not signed");
  });

  test("when the signature was changed", async () => {
    await start(OLD);
    const signature = release.signature.replace(/^./, (letter) => (letter === "A" ? "B" : "A"));
    await expectRefusal({ ...updateTo(release, NEW), signature }, "update.signature_invalid", "not signed");
  });

  test("when there is no signature at all", async () => {
    await start(OLD);
    await expectRefusal(
      { ...updateTo(release, NEW), signature: null },
      "update.signature_invalid",
      "not signed",
    );
  });

  test("when another key has signed it", async () => {
    await start(OLD);
    const forged = createRelease(Object.fromEntries(release.files), createKey());
    await expectRefusal(updateTo(forged, NEW), "update.signature_invalid", "not signed");
  });

  test("when the list names no file of that version for this system", async () => {
    await start(OLD);
    await expectRefusal(updateTo(release, "1.2.0"), "update.no_artefact", "restic-manager-agent 1.2.0");
  });

  test("when the version is older than what runs, though the list is signed", async () => {
    const older = createRelease(
      { [nameOf("restic-manager-agent", "0.9.0")]: agentScript("0.9.0") },
      release.key,
    );
    await start(OLD);
    await expectRefusal(updateTo(older, "0.9.0"), "update.downgrade", "older than 1.0.0");
  });

  test("when the folder of the program can't be written", async () => {
    mount(dirname(program), "tmpfs", "size=1m");
    await installProgram(program, agentScript(OLD));
    execFileSync("mount", ["-o", "remount,ro", dirname(program)]);
    await start(OLD);
    await expectRefusal(updateTo(release, NEW), "update.not_writable", dirname(program));
  });
});

describe("an update is given up, with the old version in place,", () => {
  test("when the file is not the one that the list names", async () => {
    const name = nameOf("restic-manager-agent", NEW);
    release.files.set(name, Buffer.concat([agentScript(NEW), Buffer.from("# changed")]));
    await start(OLD);
    await expectRefusal(updateTo(release, NEW), "update.digest_mismatch", name);
    expect(await readdir(join(lab.config.data_dir, "update"))).toEqual([]);
  });

  test("when an older list, rightly signed, is sent for a newer version's name", async () => {
    const replayed = createRelease(
      { [nameOf("restic-manager-agent", "1.0.5")]: agentScript("1.0.5") },
      release.key,
    );
    await start(OLD);
    const spec = { ...updateTo(release, NEW), sums: replayed.sums, signature: replayed.signature };
    await expectRefusal(spec, "update.no_artefact", NEW);
  });

  test("when the server does not have the file", async () => {
    release.files.clear();
    await start(OLD);
    await expectRefusal(updateTo(release, NEW), "update.download_failed", "does not have it");
  });

  test("when the disk is full, which is looked at before anything is written", async () => {
    const dataDir = join(lab.dir, "small");
    mount(dataDir, "tmpfs", "size=12m");
    await start(OLD, { ...lab.config, data_dir: dataDir });
    await expectRefusal(updateTo(release, NEW), "update.disk_full", "MiB");
    expect(await readdir(join(dataDir, "update"))).toEqual([]);
  });

  test.each([
    ["of downloads", () => join(lab.config.data_dir, "update")],
    ["of the program", () => dirname(program)],
  ])(
    "when the disk %s becomes full meanwhile: nothing is left, and the old one goes on",
    async (_which, of) => {
      const disk = of();
      mount(disk, "tmpfs", "size=24m");
      await installProgram(program, agentScript(OLD));
      const data = agentScript(NEW, "exit 1", 4_000_000);
      use(createRelease({ [nameOf("restic-manager-agent", NEW)]: data }));
      const { promise: begun, resolve: begin } = Promise.withResolvers<ServerResponse>();
      lab.server.onHttp = (_request, response) => {
        response.writeHead(200, { "content-length": data.length }).write(data.subarray(0, 1_000_000));
        begin(response);
      };
      await start(OLD);
      await lab.server.until(() => lab.server.hellos.length > 0, "hello");
      send(updateTo(release, NEW));
      const response = await begun;
      await lab.server.until(() => lab.server.all("job.progress").length > 0, "the first megabyte");
      await fillDisk(disk);
      response.end(data.subarray(1_000_000));
      expect(await endOf(lab, JOB)).toMatchObject({
        ...{ status: "failed" },
        error: {
          code: "update.disk_full",
          message: expect.stringContaining("Nothing was changed. Free some"),
        },
      });
      await freeDisk(disk);
      expect(await readdir(join(lab.config.data_dir, "update"))).toEqual([]);
      expect(await inPlace()).toContain(`echo ${OLD};`);
      expect(await filesBeside()).toEqual(["restic-manager-agent"]);
      expect(await runJob(lab, OTHER_JOB, updateTo(release, OLD))).toMatchObject({ status: "succeeded" });
    },
  );

  test("when the new version does not say that it is what it is called", async () => {
    use(createRelease({ [nameOf("restic-manager-agent", NEW)]: agentScript("9.9.9") }, release.key));
    await start(OLD);
    await expectRefusal(updateTo(release, NEW), "update.rolled_back", "says that it is 9.9.9");
  });

  test("when the new version does not run here", async () => {
    use(createRelease({ [nameOf("restic-manager-agent", NEW)]: Buffer.from("no program") }, release.key));
    await start(OLD);
    await expectRefusal(updateTo(release, NEW), "update.rolled_back", "does not run");
  });

  test("when the operator cancels the download", async () => {
    serving.answer = (_request, response) =>
      void response.writeHead(200, { "content-length": 300_000 }).write("#");
    lab.server.onHttp = serving.answer;
    await start(OLD);
    await lab.server.until(() => lab.server.hellos.length > 0, "hello");
    send(updateTo(release, NEW));
    await lab.server.until(() => lab.server.all("job.progress").length > 0, "progress");
    lab.server.send({ type: "command.cancel", job_id: JOB });
    await lab.server.until(() => lab.server.all("job.finished").length > 0, "the end");
    expect(lab.server.all("job.finished")[0]).toMatchObject({ status: "cancelled" });
    expect(await inPlace()).toContain(`echo ${OLD};`);
  });
});

describe("an update of restic", () => {
  const restic = () => join(dirname(program), "restic");
  const config = () => ({ ...lab.config, restic_path: null });
  beforeEach(() => use(createRelease({ [nameOf("restic", "0.19.1")]: resticScript("0.19.1") })));

  test("brings one into the agent's folder, and another one in its place", async () => {
    await start(OLD, config());
    expect(await runJob(lab, JOB, updateTo(release, "0.19.1", "restic"))).toMatchObject({
      status: "succeeded",
      result: { kind: "update", program: "restic", from: null, to: "0.19.1" },
    });
    const next = createRelease({ [nameOf("restic", "0.20.0")]: resticScript("0.20.0") }, release.key);
    use(next);
    expect(await runJob(lab, OTHER_JOB, updateTo(next, "0.20.0", "restic"))).toMatchObject({
      status: "succeeded",
      result: { from: "0.19.1", to: "0.20.0" },
    });
    expect(await readFile(restic(), "utf8")).toContain("0.20.0");
    expect(await readFile(`${restic()}.previous`, "utf8")).toContain("0.19.1");
  });

  test("leaves the old one when the new one does not run", async () => {
    await installProgram(restic(), resticScript("0.18.0"));
    use(createRelease({ [nameOf("restic", "0.19.1")]: Buffer.from("no program") }, release.key));
    await start(OLD, config());
    const end = await runJob(lab, JOB, updateTo(release, "0.19.1", "restic"));
    expect(end).toMatchObject({ status: "failed", error: { code: "update.rolled_back" } });
    expect(await readFile(restic(), "utf8")).toContain("0.18.0");
    expect(existsSync(`${restic()}.new`)).toBe(false);
  });

  test("is refused when the configuration names another restic", async () => {
    await start(OLD);
    const end = await runJob(lab, JOB, updateTo(release, "0.19.1", "restic"));
    expect(end).toMatchObject({ status: "failed", error: { code: "update.restic_elsewhere" } });
    expect(end?.error?.message).toContain(lab.config.restic_path ?? "");
  });
});

function mount(point: string, type: string, options: string): void {
  execFileSync("/bin/sh", ["-c", 'mkdir -p "$0"; mount -t "$1" -o "$2" "$1" "$0"', point, type, options]);
  mounts.push(point);
}
