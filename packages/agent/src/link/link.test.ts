/** The agent's connection against a server on loopback that misbehaves in every way we could think of. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CommandAck,
  type ConfigUpdate,
  type FsEntries,
  type Hello,
  type Progress,
  protocolRange,
  type ScheduleSet,
} from "@restic-manager/protocol";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { FakeServer } from "../../../testkit/src/agent-fake-server.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { createId } from "../platform/ids.ts";
import { systemRandom } from "../platform/random.ts";
import { agentSocketUrl } from "./connect.ts";
import { AgentLink, backoffMs } from "./dial.ts";
import { createNetwork } from "./network.ts";
import { type EventDraft, Outbox } from "./outbox.ts";
import type { JobProgress, Receiver } from "./session.ts";

const JOB = "01KAQ2W4T9B3E6R8M1N5P7S0VX";
const OTHER = "01KAQ2W4T9B3E6R8M1N5P7S0VY";
const AT = "2026-11-23T04:12:10.000Z";
/** Versions of the credentials that came first in their connection. */
let openers: number[];
const CONFIG: ConfigUpdate = { type: "config.update", version: 1, repository: null };
const RUN = { type: "command.run", job_id: JOB, attempt: 1, spec: { kind: "init" } } as const;

let dir: string;
let server: FakeServer;
let outbox: Outbox;
let links: AgentLink[];
let logLines: string[];
let calls: string[];
let welcomes: number;
let downs: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-link-"));
  server = new FakeServer();
  await server.start();
  const newId = () => createId(1_763_870_000_000, systemRandom());
  outbox = await Outbox.open({ dir, newId, log: pino({ level: "silent" }) });
  links = [];
  logLines = [];
  calls = [];
  welcomes = 0;
  downs = [];
  openers = [];
});
afterEach(async () => {
  await server.stop();
  for (const link of links) await link.stop();
  await outbox.close();
  await rm(dir, { recursive: true, force: true });
});

const createHello = async (): Promise<Hello> => ({
  ...{ type: "hello", protocol: protocolRange, agent_version: "0", restic_version: null },
  ...{ hostname: "h", os: "linux", arch: "x64", sent_at: AT, stream_id: outbox.streamId, jobs: [] },
});

let answerFolder: (requestId: string) => Promise<FsEntries>;
const receiver: Receiver = {
  updateConfig: async (update, opens) => {
    if (opens) openers.push(update.version);
    // Slower than what follows it: order must come from the session, not from luck.
    await systemClock().sleep(20);
    calls.push(`config ${update.version}`);
  },
  runCommand: async ({ job_id, attempt }): Promise<CommandAck> => {
    calls.push("run");
    return { type: "command.ack", job_id, attempt, accepted: true };
  },
  cancelJob: async () => void calls.push("cancel"),
  updateSchedules: async ({ version, part, parts }, opens) => {
    calls.push(`schedules ${version} part ${part}${opens ? " opens" : ""}`);
    return part === parts ? { type: "schedule.ack", version } : undefined;
  },
  scheduleFired: async ({ outcome }) => void calls.push(outcome),
  listFolder: ({ request_id }) => answerFolder(request_id),
  testRepository: async ({ request_id }) => {
    calls.push("test");
    return { type: "repository.tested", request_id, outcome: "ok", error: null, duration_ms: 1 };
  },
  readDump: async function* readNothing() {
    yield* [];
    return null;
  },
  readTree: () => new Promise(() => undefined),
  cancelTree: (requestId) => void calls.push(`cancel ${requestId}`),
};

/** A link whose back-off is always `fraction` of its limit. */
function createLink(clock: Clock = systemClock(), fraction = 0): AgentLink {
  const link = new AgentLink({
    ...{ clock, outbox, createHello, receiver, server: server.url, bearer: "test-bearer" },
    network: createNetwork({ env: {}, caFile: null, certPin: null }),
    log: pino({}, { write: (line: string) => logLines.push(line) }),
    random: { fraction: () => fraction, hex: () => "00" },
    onWelcomed: () => {
      welcomes += 1;
    },
    onDown: (reason) => downs.push(reason),
  });
  links.push(link);
  return link;
}

const log = (n: number): EventDraft => ({
  ...{ type: "log.stream", job_id: JOB, attempt: 1 },
  lines: [{ n, at: AT, level: "info", stream: "stdout", text: `line ${n}` }],
});

async function fillOutbox(count: number): Promise<void> {
  for (let n = 1; n <= count; n += 1) await outbox.append(log(n));
}

const committedSeqs = () => server.committed.map(({ seq }) => seq);
const helloCount = (count: number) => server.until(() => server.hellos.length >= count, `${count} hello(s)`);

/** Lets real sockets work while the fake clock stands still. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const clock = systemClock();
  const deadline = clock.monotonicMs() + 10_000;
  while (!condition()) {
    if (clock.monotonicMs() > deadline) throw new Error(`waited in vain for ${what}`);
    await clock.sleep(5);
  }
}

describe("the address", () => {
  test.each([
    ["http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws/agent"],
    ["https://backup.example.org", "wss://backup.example.org/ws/agent"],
    ["https://example.org/restic/", "wss://example.org/restic/ws/agent"],
  ])("of %s is %s", (address, expected) => {
    expect(agentSocketUrl(address).href).toBe(expected);
  });
});

describe("a folder that is asked for", () => {
  test("is answered, and one that never answers holds up nothing", async () => {
    answerFolder = (request_id) =>
      request_id === OTHER
        ? new Promise(() => undefined)
        : Promise.resolve({ type: "fs.entries", request_id, entries: [], more: false, error: null });
    createLink().start();
    await helloCount(1);
    const ask = (request_id: string) =>
      server.send({ type: "fs.list", request_id, path: "/", after: null, limit: 1 });
    ask(OTHER);
    server.send({ type: "command.cancel", job_id: JOB });
    ask(JOB);
    await server.until(() => server.all("fs.entries").length === 1, "the entries");
    expect(server.all("fs.entries")[0]).toMatchObject({ request_id: JOB, error: null });
    expect(calls).toEqual(["cancel"]);
  });
});

describe("the handshake", () => {
  test("carries the bearer, and events leave only after the welcome", async () => {
    await fillOutbox(2);
    const clock = new AgentFakeClock();
    server.answerHello = () => null;
    createLink(clock, 1).start();
    await helloCount(1);
    expect(server.bearers).toEqual(["Bearer test-bearer"]);
    await until(() => clock.sleeping > 0, "the wait for the welcome");
    await clock.advance(9_999);
    expect(server.received.map(({ type }) => type)).toEqual(["hello"]);
    server.answerHello = undefined;
    await clock.advance(1);
    await until(() => server.connections === 0 && clock.sleeping === 1, "the back-off");
    await clock.advance(1_000);
    await helloCount(2);
    await server.until(() => server.committed.length === 2, "both events");
  });

  test("messages before the welcome are not acted upon", async () => {
    server.answerHello = () => null;
    createLink().start();
    await helloCount(1);
    server.send(RUN);
    server.send(CONFIG);
    server.send(server.welcome());
    await server.until(() => server.pings > 0, "a heartbeat");
    expect(calls).toEqual([]);
  });

  test("credentials are stored before the command that follows them is looked at", async () => {
    server.config = CONFIG;
    server.commands = [RUN];
    createLink().start();
    await server.until(() => server.all("command.ack").length === 1, "the acknowledgement");
    expect(calls).toEqual(["config 1", "run"]);
    server.send({ ...CONFIG, version: 2 });
    await until(() => calls.includes("config 2"), "an edit");
    server.config = { ...CONFIG, version: 1 };
    server.dropAll();
    await until(() => openers.length > 1, "the next connection");
    expect(openers).toEqual([1, 1]);
  });

  test("a reject is logged and asked again only after a minute", async () => {
    const clock = new AgentFakeClock();
    server.answerHello = () => ({
      type: "reject",
      code: "link.protocol_too_old",
      message: "Update the agent.",
    });
    createLink(clock).start();
    await helloCount(1);
    await until(() => logLines.join("").includes("Update the agent."), "the log line");
    await until(() => clock.sleeping === 1, "the wait");
    await clock.advance(59_999);
    expect(server.hellos).toHaveLength(1);
    await clock.advance(1);
    await helloCount(2);
  });

  test("an unknown bearer is said in words and asked again slowly", async () => {
    const clock = new AgentFakeClock();
    server.bearer = "another";
    createLink(clock).start();
    await until(() => clock.sleeping === 1, "the wait");
    expect(logLines.join("")).toContain("HTTP 401");
    expect(downs).toEqual([expect.stringContaining("does not know this host's credentials (HTTP 401)")]);
    await clock.advance(9_999);
    expect(server.bearers).toHaveLength(1);
    server.bearer = "test-bearer";
    await clock.advance(1);
    await helloCount(1);
  });
});

describe("dialling again", () => {
  test("waits longer with every failure, up to ten seconds, spread over the whole range", () => {
    expect([0, 1, 2, 3, 4, 50].map((failures) => backoffMs(failures, 1))).toEqual([
      1000, 2000, 4000, 8000, 10_000, 10_000,
    ]);
    expect(backoffMs(4, 0)).toBe(0);
    expect(backoffMs(4, 0.25)).toBe(2500);
  });

  test("a server that is not there is tried until it is", async () => {
    await server.stop();
    createLink().start();
    await until(() => logLines.some((line) => line.includes("ECONNREFUSED")), "a refused connection");
    await server.start();
    await helloCount(1);
  });

  test("after a restart of the server everything unacknowledged is sent again", async () => {
    server.acknowledge = false;
    await fillOutbox(3);
    createLink().start();
    await server.until(() => server.committed.length === 3, "the events");
    await server.stop();
    server.acknowledge = true;
    await fillOutbox(1);
    await server.start();
    await server.until(() => server.committed.length === 4, "the fourth event");
    expect(committedSeqs()).toEqual([1, 2, 3, 4]);
  });

  test("a goodbye for a while is followed by another hello, one for ever is not", async () => {
    const { ended } = createLink().start();
    await helloCount(1);
    await server.until(() => server.pings > 0, "a heartbeat");
    server.send({ type: "goodbye", code: "server.stopping", message: "Back soon.", retry: true });
    await helloCount(2);
    await server.until(() => server.pings > 1, "a heartbeat");
    server.send({ type: "goodbye", code: "link.host_removed", message: "Removed by admin.", retry: false });
    expect(await ended).toEqual({ kind: "removed", message: "Removed by admin." });
    await until(() => server.connections === 0, "the end of the connection");
  });

  test("stop ends the link while it is connected, while it waits, and when asked twice", async () => {
    const connected = createLink();
    const { ended } = connected.start();
    await helloCount(1);
    await connected.stop();
    await connected.stop();
    expect(await ended).toEqual({ kind: "stopped" });
    await server.stop();
    const waiting = createLink(systemClock(), 1);
    const end = waiting.start().ended;
    await until(() => logLines.some((line) => line.includes("ECONNREFUSED")), "a refused connection");
    await waiting.stop();
    expect(await end).toEqual({ kind: "stopped" });
    await server.start();
  });
});

describe("a connection that breaks", () => {
  const EVENTS = 8;

  test.each(Array.from({ length: EVENTS + 2 }, (_, index) => index + 1))(
    "after %i frames, before or after the server committed: every event arrives once and in order",
    async (boundary) => {
      for (const verdict of ["drop", "drop-after-commit"] as const) {
        let frames = 0;
        server.onFrame = (message) => {
          frames += 1;
          if (frames !== boundary) return "accept";
          if (verdict === "drop-after-commit" && "seq" in message && message.type !== "error") {
            server.committed.push(message);
            server.ackedSeq = message.seq;
          }
          return "drop";
        };
        await fillOutbox(EVENTS);
        const link = createLink();
        link.start();
        await server.until(() => server.committed.at(-1)?.seq === outbox.lastSeq, "the last event");
        await link.stop();
      }
      expect(committedSeqs()).toEqual(committedSeqs().map((_, index) => index + 1));
      expect(server.committed).toHaveLength(2 * EVENTS);
    },
  );
});

describe("frames that can't be used", () => {
  beforeEach(async () => {
    createLink().start();
    await server.until(() => server.pings > 0, "a heartbeat");
  });

  test("an unknown type is answered and the connection goes on", async () => {
    server.sendRaw('{"type":"tree.paint","path":"/secret"}');
    server.send(CONFIG);
    await server.until(() => server.all("error").length === 1, "the answer");
    expect(server.all("error")[0]).toMatchObject({ code: "protocol.unknown_type", of_type: "tree.paint" });
    await until(() => calls.includes("config 1"), "the next message");
  });

  test.each([
    ["text that is not JSON", "{"],
    ["a binary frame", Buffer.from('{"type":"event.ack","seq":1}')],
    ["a broken message", '{"type":"event.ack","seq":-1}'],
  ])("%s is answered and the connection goes on", async (_name, frame) => {
    server.sendRaw(frame);
    await server.until(() => server.all("error").length === 1, "the answer");
    expect(server.hellos).toHaveLength(1);
  });

  test("an error of the server is never answered with an error", async () => {
    server.send({ type: "error", code: "protocol.not_json", message: "The frame is not JSON." });
    server.sendRaw("{");
    await server.until(() => server.all("error").length > 0, "an answer");
    expect(server.all("error")).toHaveLength(1);
  });

  test("a frame that is too large ends the connection, and the next one works", async () => {
    server.sendRaw(`{"type":"goodbye","message":"${"x".repeat(1024 * 1024)}"}`);
    await helloCount(2);
  });

  test("doubled welcomes, acknowledgements and credentials change nothing", async () => {
    await fillOutbox(2);
    await server.until(() => server.committed.length === 2, "the events");
    for (let times = 0; times < 2; times += 1) {
      server.send(server.welcome());
      server.send({ type: "event.ack", seq: 2 });
      server.send(CONFIG);
    }
    await fillOutbox(1);
    await server.until(() => server.committed.length === 3, "the next event");
    expect(server.received.filter((message) => "seq" in message)).toHaveLength(3);
  });

  test("an event that the server refuses for good is not sent again", async () => {
    server.onFrame = (message) => ("seq" in message && message.seq === 1 ? "ignore" : "accept");
    await fillOutbox(1);
    await server.until(() => server.all("log.stream").length === 1, "the event");
    server.send({ type: "error", code: "protocol.invalid_message", message: "No.", seq: 1 });
    await until(() => logLines.join("").includes("No."), "the log line");
    server.onFrame = undefined;
    server.dropAll();
    await helloCount(2);
    await fillOutbox(1);
    await server.until(() => server.committed.length === 1, "the second event");
    expect(server.all("log.stream")).toHaveLength(2);
  });
});

describe("progress", () => {
  const progressAt = (percent: number): JobProgress => {
    const progress: Progress = {
      ...{
        percent_done: percent,
        total_files: 1,
        files_done: 0,
        total_bytes: 1,
        bytes_done: 0,
        error_count: 0,
      },
      ...{ current_files: [], seconds_elapsed: 0, seconds_remaining: null, bytes_per_second: null },
    };
    return { type: "job.progress", job_id: JOB, attempt: 1, progress };
  };

  test("of the time without a connection only the newest is sent", async () => {
    const link = createLink();
    link.reportProgress(progressAt(0.1));
    link.reportProgress(progressAt(0.2));
    link.start();
    await server.until(() => server.all("job.progress").length > 0, "progress");
    expect(server.all("job.progress").map(({ progress }) => progress.percent_done)).toEqual([0.2]);
  });

  test("of a job that has ended is not sent to the next connection", async () => {
    const link = createLink();
    link.reportProgress(progressAt(0.1));
    link.forgetProgress(JOB);
    link.start();
    await server.until(() => server.pings > 0, "a heartbeat");
    expect(server.all("job.progress")).toEqual([]);
  });
});

describe("schedules", () => {
  const part = (version: number, number: number, parts: number): ScheduleSet => ({
    ...{ type: "schedule.set", version, part: number, parts, groups: [], schedules: [] },
  });
  const fire = { type: "schedule.fire", schedule_id: JOB, planned_at: AT } as const;

  test("come in parts, are acknowledged when whole, and the first set of each connection opens it", async () => {
    const link = createLink();
    link.start();
    await server.until(() => server.pings > 0, "the welcome");
    for (const message of [part(7, 1, 2), part(7, 2, 2), part(8, 1, 1)]) server.send(message);
    await server.until(() => server.all("schedule.ack").length === 2, "two acknowledgements");
    expect(server.all("schedule.ack").map(({ version }) => version)).toEqual([7, 8]);
    server.dropAll();
    await server.until(() => server.pings > 1, "the next welcome");
    server.send(part(3, 1, 1));
    await server.until(() => server.all("schedule.ack").length === 3, "the third acknowledgement");
    expect(calls).toEqual([
      "schedules 7 part 1 opens",
      "schedules 7 part 2 opens",
      "schedules 8 part 1",
      "schedules 3 part 1 opens",
    ]);
  });

  test("a fire is sent only over a connection that was welcomed, and each welcome is told", async () => {
    const link = createLink();
    expect(link.sendFire(fire)).toBe(false);
    link.start();
    await until(() => welcomes === 1, "the welcome");
    expect(link.sendFire(fire)).toBe(true);
    await server.until(() => server.all("schedule.fire").length === 1, "the fire");
    server.send({
      type: "schedule.fired",
      schedule_id: JOB,
      planned_at: AT,
      outcome: "refused",
      code: "a.b",
    });
    await until(() => calls.includes("refused"), "the answer");
    server.dropAll();
    await until(() => welcomes === 2, "the next welcome");
  });
});
