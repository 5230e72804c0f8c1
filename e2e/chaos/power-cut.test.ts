/**
 * A host loses its power: every program is gone at once, restic too, and what was being written last is cut off at any
 * byte. The state of an agent in the middle of a job is copied and cut at every byte of its last record; an agent that
 * starts on the copy must bring the job to a truthful end. Agents run inside the test, on a server that is a stand-in,
 * because there are hundreds of them.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobSpec, LogLine } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AgentConfig } from "../../packages/agent/src/config.ts";
import { systemClock } from "../../packages/agent/src/platform/clock.ts";
import { createLog } from "../../packages/agent/src/platform/log.ts";
import { systemRandom } from "../../packages/agent/src/platform/random.ts";
import { type RunningAgent, startAgent } from "../../packages/agent/src/start.ts";
import { FakeServer } from "../../packages/testkit/src/agent-fake-server.ts";
import { createQuickRepository } from "../../packages/testkit/src/quick-repository.ts";
import { removeFolder } from "../../packages/testkit/src/remove-folder.ts";
import { writeScript } from "../lab/host.ts";
import { agentProgram, findProgram, plainEnvironment } from "../lab/lab.ts";
import { endLeftovers, listProgramsOf } from "../lab/leftovers.ts";
import { isLong, report, testTimeout, untilSoon } from "./faults.ts";

const jobId = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const password = "a password of the laboratory";
const spoken = 3;

let folder: string;
let server: FakeServer;
let agents: RunningAgent[];
let resticPath: string;

beforeAll(async () => {
  resticPath = await findProgram("restic");
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rm-power-"));
  agents = [];
  await mkdir(join(folder, "source"));
  await writeFile(join(folder, "source", "file"), "content");
  await createQuickRepository(join(folder, "repository"), password);
  await writeStandIn();
  server = await createServer();
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  await server.stop();
  await endLeftovers(folder);
  await removeFolder(folder);
});
afterAll(() => report(`${cuts} power cuts`));
let cuts = 0;

/** restic that says some lines and, while the file `hold` is there, does not go on. */
async function writeStandIn(): Promise<void> {
  const lines = Array.from({ length: spoken }, (_, index) => `echo "said ${index + 1}" >&2`).join("; ");
  const hold = join(folder, "hold");
  await writeScript(
    join(folder, "restic"),
    `if [ "$1" = backup ]; then ${lines}; while [ -e '${hold}' ]; do sleep 0.05; done; fi\nexec '${resticPath}' "$@"`,
  );
}

async function createServer(): Promise<FakeServer> {
  const made = new FakeServer();
  await made.start();
  const repository = {
    location: join(folder, "repository"),
    password,
    rest_username: null,
    rest_password: null,
  };
  made.config = { type: "config.update", version: 1, repository };
  const spec: JobSpec = {
    ...{ kind: "backup", host_name: "host", source_group: "default", includes: [join(folder, "source")] },
    excludes: [],
  };
  made.commands = [{ type: "command.run", job_id: jobId, attempt: 1, spec }];
  return made;
}

async function start(dataDir: string, on: FakeServer): Promise<RunningAgent> {
  const config: AgentConfig = {
    ...{
      server: on.url,
      host_id: "01KAQ2TZY8X6W4V2T0S9R7Q5PN",
      bearer: on.bearer,
      cert_pin: null,
      ca_file: null,
    },
    ...{ secrets_key: Buffer.alloc(32, 7).toString("base64"), data_dir: dataDir, log_level: "info" },
    restic_path: join(folder, "restic"),
    allow_hooks: true,
  };
  const agent = await startAgent(config, {
    ...{ clock: systemClock(), random: systemRandom(), platform: process.platform, env: plainEnvironment() },
    machine: { hostname: "host", os: "linux", arch: "x64", machineId: null, bootId: null },
    createLog: (redact) => createLog({ level: "silent", redact }),
    runnerCommand: { file: process.execPath, args: [agentProgram, "runner"] },
    executablePath: agentProgram,
  });
  agents.push(agent);
  return agent;
}

const finished = (on: FakeServer) => on.committed.filter((event) => event.type === "job.finished");
const linesOf = (on: FakeServer): LogLine[] =>
  on.committed.flatMap((event) => (event.type === "log.stream" ? event.lines : []));
const counting = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

/** The file with the events, and where its last record begins and ends. */
async function findLastRecord(dataDir: string): Promise<{ path: string; begin: number; end: number }> {
  const outbox = join(dataDir, "outbox");
  const name = (await readdir(outbox)).find((entry) => entry.startsWith("events-")) ?? "";
  const text = await readFile(join(outbox, name));
  return { path: join("outbox", name), begin: text.lastIndexOf("\n", text.length - 2) + 1, end: text.length };
}

/** Every byte in the long form; in the short one both ends, the middle and some between. */
function chooseCuts(begin: number, end: number): number[] {
  const all = Array.from({ length: end - begin + 1 }, (_, index) => begin + index);
  if (isLong) return all;
  const step = Math.ceil(all.length / 8);
  return all.filter((_, index) => index < 2 || index >= all.length - 2 || index % step === 0);
}

/** A server that has committed `events` of the stream and nothing else, for an agent on a copy of the state. */
async function restartOnCopy(state: string, cut: { path: string; at: number } | null): Promise<FakeServer> {
  cuts++;
  const copy = await mkdtemp(join(folder, "copy-"));
  await cp(state, copy, { recursive: true });
  if (cut) await truncate(join(copy, cut.path), cut.at);
  const fresh = await createServer();
  fresh.commands = [];
  const agent = await start(copy, fresh);
  await fresh.until(() => finished(fresh).length > 0, "the end of the job");
  const journal = join(copy, "jobs");
  await untilSoon("an empty journal", 10_000, async () => (await readdir(journal)).length === 0);
  await agent.stop();
  await fresh.stop();
  return fresh;
}

/** One end, numbers without a gap, every word of restic once, no event twice. */
function expectWholeStory(on: FakeServer): void {
  expect(finished(on)).toHaveLength(1);
  expect(on.committed.filter(({ type }) => type === "job.started")).toHaveLength(1);
  const lines = linesOf(on);
  expect(lines.map(({ n }) => n)).toEqual(counting(finished(on)[0]?.log_lines ?? -1));
  const said = lines.flatMap(({ text }) => /^said (\d+)/.exec(text)?.[1] ?? []);
  expect(said.map(Number)).toEqual(counting(spoken));
  expect(on.committed.map(({ seq }) => seq)).toEqual(counting(on.committed.length));
}

/** An agent that is in the middle of the job, stopped with everything it started. @returns its state */
async function cutPower(until: () => Promise<boolean>): Promise<string> {
  const state = join(folder, "state");
  server.acknowledge = false;
  const agent = await start(state, server);
  await untilSoon("the moment of the power cut", 20_000, until);
  await agent.stop();
  await endLeftovers(folder);
  await untilSoon("the end of all programs", 10_000, async () => (await listProgramsOf(folder)).length === 0);
  return state;
}

describe("a power cut", () => {
  test("while log lines are written: the job ends as failed, and says why", {
    timeout: testTimeout,
  }, async () => {
    await writeFile(join(folder, "hold"), "");
    const state = await cutPower(async () => linesOf(server).some(({ text }) => text === `said ${spoken}`));
    await rm(join(folder, "hold"));
    const { path, begin, end } = await findLastRecord(state);
    for (const at of chooseCuts(begin, end)) {
      const after = await restartOnCopy(state, { path, at });
      expectWholeStory(after);
      expect(finished(after)[0]).toMatchObject({ status: "failed", error: { code: "restic.vanished" } });
    }
  });

  test("while the end is written: restic had ended well, and that is told", {
    timeout: testTimeout,
  }, async () => {
    const state = await cutPower(async () => finished(server).length + server.all("job.finished").length > 0);
    const { path, begin, end } = await findLastRecord(state);
    for (const at of chooseCuts(begin, end)) {
      const after = await restartOnCopy(state, { path, at });
      expectWholeStory(after);
      expect(finished(after)[0]).toMatchObject({ status: "succeeded", exit_code: 0 });
    }
  });

  test("while a file is replaced leaves the old one, and a half-written one beside it", {
    timeout: testTimeout,
  }, async () => {
    const state = await cutPower(async () => server.all("job.finished").length > 0);
    const half = '{"version":1,"job_id":"01KAQ2W4';
    await writeFile(join(state, "jobs", jobId, ".0123456789ab.tmp"), half);
    await writeFile(join(state, "outbox", ".0123456789ab.tmp"), half);
    await mkdir(join(state, "jobs", "01KAQ2W4T9B3E6R8M1N5P7S0VY"));
    await writeFile(join(state, "jobs", "01KAQ2W4T9B3E6R8M1N5P7S0VY", ".0123456789ab.tmp"), half);
    const after = await restartOnCopy(state, null);
    expectWholeStory(after);
    expect(finished(after)[0]).toMatchObject({ status: "succeeded", exit_code: 0 });
  });
});
