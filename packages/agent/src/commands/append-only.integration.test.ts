/** A storage that takes everything and gives nothing back, and the access that may delete: with the real rest-server. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RepositoryAccess } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  endOf,
  JOB,
  killProgram,
  OTHER_JOB,
  runJob,
  startInProgram,
  startProgram,
} from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  type Lab,
  listIds,
  makeSnapshots,
  runRestic,
  until,
} from "../../fixtures/restic/lab.ts";
import { type RestServer, startRestServer } from "../../fixtures/restic/rest-server.ts";

const EVERYDAY = "everyday password of the host";
const ADMIN = "admin password that may delete";

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
  await fillSource(template, 2);
  await makeSnapshots(template, [{ host: "web-1", tag: "default", time: "2026-01-01 10:00:00" }]);
  // The next one holds none of it, so that there is something to prune when the first is forgotten.
  await writeFile(join(template.source, "file-0"), "small");
  await writeFile(join(template.source, "file-1"), "small");
  await makeSnapshots(template, [{ host: "web-1", tag: "default", time: "2026-01-02 10:00:00" }]);
});
afterAll(() => template.remove());

let lab: AgentLab;
let everyday: RestServer;
let admin: RestServer;
beforeEach(async () => {
  lab = await createAgentLab();
  const folder = join(lab.dir, "rest");
  await mkdir(join(folder, "web"), { recursive: true });
  await cp(template.repository.url, join(folder, "web", "repository"), { recursive: true });
  everyday = await startRestServer({ folder, users: { web: EVERYDAY }, flags: ["--append-only"] });
  admin = await startRestServer({ folder, users: { web: ADMIN } });
  lab.server.config = { type: "config.update", version: 1, repository: accessTo(everyday, EVERYDAY) };
});
afterEach(async () => {
  await everyday.stop();
  await admin.stop();
  await lab.remove();
});

const accessTo = (server: RestServer, rest_password: string): RepositoryAccess => ({
  location: server.urlOf("web/repository"),
  password: lab.repository.password,
  ...{ rest_username: "web", rest_password },
});
const folderEnv = () => lab.envFor({ url: join(lab.dir, "rest", "web", "repository") });
const ids = () => listIds("web-1", "default", folderEnv());
const forget = {
  ...{ kind: "forget" as const, host_name: "web-1", max_removed_percent: 50, confirmed: false },
  groups: [{ source_group: "default", policy: { keep_last: 1 } }],
};

describe("the everyday credential of append-only storage", () => {
  test("removes no snapshot, and the job says so although restic's plan claims it", async () => {
    await startInProgram(lab);
    const ended = await runJob(lab, JOB, forget);
    expect(ended).toMatchObject({ status: "failed", error: { code: "forget.not_removed" } });
    expect(ended?.error?.message).toContain("append-only");
    expect(ended?.result).toMatchObject({ groups: [{ kept: 2, removed: 0 }] });
    expect(await ids()).toHaveLength(2);
  });

  test("removes no snapshot either when restic says nothing of it and exits well", async () => {
    const path = join(lab.dir, "silent");
    const silent = `if [ "$1" = forget ]; then ${getResticPath()} "$@" 2> /dev/null; exit 0; fi`;
    await writeFile(path, `#!/bin/sh\n${silent}\nexec ${getResticPath()} "$@"\n`, { mode: 0o755 });
    await startInProgram(lab, { ...lab.config, restic_path: path });
    const ended = await runJob(lab, JOB, forget);
    expect(ended).toMatchObject({ status: "failed", error: { code: "forget.not_removed" }, exit_code: 0 });
    expect(ended?.result).toMatchObject({ groups: [{ kept: 2, removed: 0 }] });
  });

  test("frees nothing, and prune says that it may not delete", async () => {
    await runRestic(["forget", "--keep-last", "1"], folderEnv());
    await startInProgram(lab);
    const ended = await runJob(lab, JOB, { kind: "prune" });
    expect(ended).toMatchObject({ status: "failed", error: { code: "prune.refused" } });
    expect(ended?.error?.message).toContain("may not delete");
  });

  test("reads every pack in a check", async () => {
    await startInProgram(lab);
    const ended = await runJob(lab, JOB, { kind: "check", read_data: { percent: 100 } });
    expect(ended).toMatchObject({ status: "succeeded", result: { kind: "check", error_count: 0 } });
  });
});

describe("the access that comes with a command", () => {
  test("forgets and prunes, and is nowhere on the disk", async () => {
    await startInProgram(lab);
    const access = accessTo(admin, ADMIN);
    expect(await runJob(lab, JOB, forget, access)).toMatchObject({
      status: "succeeded",
      result: { groups: [{ kept: 1, removed: 1 }] },
    });
    const pruned = await runJob(lab, OTHER_JOB, { kind: "prune" }, access);
    expect(pruned).toMatchObject({ status: "succeeded", result: { kind: "prune" } });
    const freed = pruned?.result?.kind === "prune" ? pruned.result.freed_bytes : null;
    expect(freed).toBeGreaterThan(2_000_000);
    // grep ends with 1 when it finds nothing.
    expect(() => execFileSync("grep", ["-rF", ADMIN, join(lab.dir, "data")])).toThrow();
    expect(lab.logLines.join("")).not.toContain(ADMIN);
  });

  test("stays with a restic that has begun when the agent is killed and starts again", async () => {
    const [path, gate, reached] = ["gated", "gate", "reached"].map((name) => join(lab.dir, name));
    const wait = `: > ${reached}; while [ ! -e ${gate} ]; do sleep 0.05; done`;
    const script = `#!/bin/sh\nif [ "$1" = prune ]; then ${wait}; fi\nexec ${getResticPath()} "$@"\n`;
    await writeFile(path ?? "", script, { mode: 0o755 });
    lab.config.restic_path = path ?? null;
    await runRestic(["forget", "--keep-last", "1"], folderEnv());
    const access = accessTo(admin, ADMIN);
    lab.server.commands = [{ type: "command.run", job_id: JOB, attempt: 1, spec: { kind: "prune" }, access }];
    const first = await startProgram(lab);
    await until("prune", () => existsSync(reached ?? ""));
    await killProgram(first);
    await writeFile(gate ?? "", "");
    await startProgram(lab);
    expect(await endOf(lab, JOB)).toMatchObject({ status: "succeeded", result: { kind: "prune" } });
    expect(() => execFileSync("grep", ["-rF", ADMIN, join(lab.dir, "data")])).toThrow();
  });

  test("is gone when the agent is restarted before restic began, and the job says so", async () => {
    const dir = join(lab.dir, "data", "jobs", JOB);
    await mkdir(dir, { recursive: true });
    const entry = { job_id: JOB, attempt: 1, spec: { kind: "prune" }, cancel_requested: false };
    const state = { version: 1, ...entry, missing_sources: null, with_access: true };
    await writeFile(join(dir, "state.json"), JSON.stringify(state));
    await startInProgram(lab);
    expect(await endOf(lab, JOB)).toMatchObject({ status: "failed", error: { code: "agent.access_gone" } });
  });
});
