/** Removing locks, with real restic: it signals the pid in a lock, so every pid is looked up first. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { cp } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AgentLab, createAgentLab, JOB, runJob, startInProgram } from "../../fixtures/agent/lab.ts";
import { createLab, createRepository, getResticPath, type Lab, until } from "../../fixtures/restic/lab.ts";
import { writeLock } from "../../fixtures/restic/lock-file.ts";

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
const children: ChildProcess[] = [];
beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
  await startInProgram(lab);
});
afterEach(async () => {
  for (const child of children.splice(0)) await end(child);
  await lab.remove();
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

function keep(child: ChildProcess): number {
  children.push(child);
  return child.pid ?? 0;
}

const startSleep = () => keep(spawn("sleep", ["600"], { stdio: "ignore" }));

/** A pid that somebody had and nobody has. */
async function endedPid(): Promise<number> {
  const child = spawn("true", { stdio: "ignore" });
  await once(child, "exit");
  return child.pid ?? 0;
}

const lock = (host: string, pid: number) => writeLock(lab.repository, { hostname: host, pid });
const unlock = (removeAll = false) => runJob(lab, JOB, { kind: "unlock", remove_all: removeAll });
const locks = () => readdirSync(join(lab.repository.url, "locks"));
const told = () => lab.server.all("repo.stats").at(-1)?.locks;

describe("unlock", () => {
  test("removes the lock of a restic of this host that is gone, and leaves that of another host", async () => {
    await lock(hostname(), await endedPid());
    const foreign = await lock("another-machine", 1);
    expect(await unlock()).toMatchObject({
      status: "succeeded",
      result: { kind: "unlock", removed: 1, remaining: 1 },
    });
    expect(locks()).toEqual([foreign]);
    expect(told()).toMatchObject([{ id: foreign, hostname: "another-machine", pid: 1, alive: null }]);
  });

  test("touches nothing while another program has the pid that a lock names", async () => {
    const pid = startSleep();
    const reused = await lock(hostname(), pid);
    const gone = await lock(hostname(), await endedPid());
    const ended = await unlock();
    expect(ended).toMatchObject({ status: "failed", error: { code: "unlock.pid_reused" } });
    expect(ended?.error?.message).toContain(reused.slice(0, 8));
    expect(children[0]?.signalCode).toBeNull();
    expect(locks().sort()).toEqual([reused, gone].sort());
    expect(told()).toEqual(expect.arrayContaining([expect.objectContaining({ id: reused, alive: false })]));
  });

  test("removes every lock when the operator said so, and signals nobody", async () => {
    const pid = startSleep();
    await lock(hostname(), pid);
    await lock("another-machine", 1);
    expect(await unlock(true)).toMatchObject({ result: { removed: 2, remaining: 0 } });
    expect(locks()).toEqual([]);
    expect(children[0]?.signalCode).toBeNull();
  });

  test("leaves the lock of a restic that works", async () => {
    const args = ["backup", "--stdin", "--stdin-filename", "open"];
    const child = spawn(getResticPath(), args, { env: lab.envFor(), stdio: ["pipe", "ignore", "ignore"] });
    const pid = keep(child);
    await until("it has its lock", () => locks().length === 1);
    expect(await unlock()).toMatchObject({ status: "succeeded", result: { removed: 0, remaining: 1 } });
    expect(child.signalCode).toBeNull();
    expect(told()).toMatchObject([{ pid, alive: true }]);
  });

  test("has nothing to do where there is no lock", async () => {
    expect(await unlock()).toMatchObject({ status: "succeeded", result: { removed: 0, remaining: 0 } });
  });
});
