/** An agent that came as a package is updated by apt: with an apt and a dpkg that stand in for the real ones. */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { UpdateSpec } from "@restic-manager/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, runJob, startInProgram } from "../../fixtures/agent/lab.ts";
import { until } from "../../fixtures/restic/lab.ts";
import { agentScript, installProgram } from "../../fixtures/update/release.ts";
import type { RunningAgent } from "../start.ts";

const OLD = "1.0.0";
const NEW = "1.1.0";

let lab: AgentLab;
let program: string;
let tools: string;
beforeEach(async () => {
  lab = await createAgentLab();
  lab.server.config = undefined;
  program = join(lab.dir, "opt", "restic-manager-agent");
  tools = join(lab.dir, "tools");
  await installProgram(program, agentScript(OLD));
  await installProgram(join(lab.dir, "newer"), agentScript(NEW));
  await mkdir(tools);
  await addTool("dpkg-query", `[ "$*" = "-S ${program}" ]`);
});
afterEach(() => lab.remove());

const addTool = (name: string, script: string) =>
  installProgram(join(tools, name), Buffer.from(`#!/bin/sh\n${script}\n`));
const spec: UpdateSpec = { kind: "update", program: "agent", version: NEW };
const lines = () => lab.server.committed.flatMap((event) => (event.type === "log.stream" ? event.lines : []));
const ends = () => lab.server.all("job.finished");

/** The agent of a version; `restarted` says that it has ended to be started anew. */
async function start(version: string, env: Record<string, string> = {}) {
  const { promise: restarted, resolve } = Promise.withResolvers<void>();
  const agent: RunningAgent = await startInProgram(lab, lab.config, undefined, {
    env: { PATH: `${tools}:/usr/bin:/bin`, RM_SUPERVISED: "1", ...env },
    program: {
      executablePath: program,
      release: { version, key: undefined, restart: () => void agent.stop().then(resolve) },
    },
  });
  return { agent, restarted };
}

async function send(): Promise<void> {
  await lab.server.until(() => lab.server.hellos.length > 0, "hello");
  lab.server.send({ type: "command.run", job_id: JOB, attempt: 1, spec });
}

/** `apt-get update` does nothing; `apt-get install` is this. */
const addApt = (install: string) =>
  addTool(
    "apt-get",
    `case "$*" in *update) exit 0;; esac\n[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9\n${install}`,
  );
const replace = () =>
  `cp '${join(lab.dir, "newer")}' '${program}.dpkg-new' && mv '${program}.dpkg-new' '${program}'`;

describe("an update of an agent that came as a package", () => {
  test("calls apt, tells its lines and starts anew when apt has brought the version", async () => {
    await addApt(`echo "Setting up restic-manager-agent"; echo "$*"; ${replace()}`);
    const { restarted } = await start(OLD);
    await send();
    await restarted;
    await start(NEW);
    await lab.server.until(() => ends().length > 0, "the end");
    expect(ends()[0]).toMatchObject({ status: "succeeded", result: { from: OLD, to: NEW } });
    const texts = lines().map(({ text }) => text);
    expect(texts.filter((text) => text === "Setting up restic-manager-agent")).toHaveLength(1);
    expect(texts.find((text) => text.includes("--only-upgrade restic-manager-agent"))).toBeDefined();
    expect(existsSync(`${program}.previous`)).toBe(false);
  });

  test("is taken up by the agent that apt itself has started, with every line once", async () => {
    const gate = join(lab.dir, "gate");
    await addApt(`echo before; ${replace()}; while [ ! -e '${gate}' ]; do sleep 0.05; done; echo after`);
    const { agent } = await start(OLD);
    await send();
    await until("apt's first line", () => lines().some(({ text }) => text === "before"));
    await agent.stop();
    await start(NEW);
    await installProgram(gate, Buffer.from(""));
    await lab.server.until(() => ends().length > 0, "the end");
    expect(ends()[0]).toMatchObject({ status: "succeeded" });
    expect(lines().map(({ n }) => n)).toEqual(lines().map((_, index) => index + 1));
    expect(
      lines()
        .map(({ text }) => text)
        .filter((text) => /^(before|after)$/.test(text)),
    ).toEqual(["before", "after"]);
  });

  test("fails with apt's last words when apt fails", async () => {
    await addApt('echo "E: Could not get lock /var/lib/dpkg/lock-frontend" >&2; exit 100');
    await start(OLD);
    const end = await runJob(lab, JOB, spec);
    expect(end).toMatchObject({ status: "failed", error: { code: "update.managed_by_apt" } });
    expect(end?.error?.message).toContain("code 100");
    expect(end?.error?.last_lines.join()).toContain("Could not get lock");
  });

  test("fails and says where versions come from when apt knows no newer one", async () => {
    await addApt('echo "restic-manager-agent is already the newest version."');
    await start(OLD);
    const end = await runJob(lab, JOB, spec);
    expect(end).toMatchObject({ status: "failed", error: { code: "update.managed_by_apt" } });
    expect(end?.error?.message).toContain(`no restic-manager-agent ${NEW}`);
    expect(await readFile(program, "utf8")).toContain(`echo ${OLD};`);
  });

  test("runs apt in a unit of its own under systemd", async () => {
    const asked = join(lab.dir, "asked");
    await addApt("echo done");
    await addTool("systemd-notify", "exit 0");
    await addTool(
      "systemd-run",
      `echo "$*" > '${asked}'; while [ "\${1#--}" != "$1" ]; do shift; done; exec "$@"`,
    );
    await start(OLD, { NOTIFY_SOCKET: "/run/systemd/notify" });
    await runJob(lab, JOB, spec);
    expect(await readFile(asked, "utf8")).toMatch(
      /--wait --pipe --unit=restic-manager-agent-upgrade timeout 1800 \/bin\/sh/,
    );
    expect(lines().some(({ text }) => text === "done")).toBe(true);
  });
});
