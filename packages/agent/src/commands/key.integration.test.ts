/** The steps of a password's rotation with real restic: into a folder, and through the real rest-server. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JobFinished, KeySpec, RepositoryAccess } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  endOf,
  JOB,
  killProgram,
  OTHER_JOB,
  startInProgram,
  startProgram,
} from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  getResticPath,
  type Lab,
  runRestic,
  until,
} from "../../fixtures/restic/lab.ts";
import { type RestServer, startRestServer } from "../../fixtures/restic/rest-server.ts";

const NEW = "new pass\"word'$é%41 of the repository";
const EVERYDAY = "everyday password of the host";
const ADMIN = "admin password that may delete";

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
});
afterAll(() => template.remove());

let lab: AgentLab;
let folder: string;
const servers: RestServer[] = [];
beforeEach(async () => {
  lab = await createAgentLab();
  folder = lab.repository.url;
  await cp(template.repository.url, folder, { recursive: true });
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  await lab.remove();
});

const local = (password = lab.repository.password): RepositoryAccess => ({
  ...{ location: folder, password, rest_username: null, rest_password: null },
});
type Brought = { access?: RepositoryAccess; new_password?: string };
let jobs = 0;

function order(step: KeySpec["step"], brought: Brought = {}, key_ids?: string[], job_id?: string) {
  const id = job_id ?? `01KAQ2W4T9B3E6R8M1N5P7S${String(++jobs).padStart(3, "0")}`;
  const spec = { kind: "key" as const, step, ...(key_ids ? { key_ids } : {}) };
  return { type: "command.run" as const, job_id: id, attempt: 1, spec, ...brought };
}

/** Sends a step and waits for its end. */
async function run(...wish: Parameters<typeof order>): Promise<JobFinished | undefined> {
  await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
  const command = order(...wish);
  lab.server.send(command);
  return endOf(lab, command.job_id);
}

function resultOf(ended: JobFinished | undefined) {
  if (ended?.result?.kind !== "key") throw new Error(`no result: ${JSON.stringify(ended)}`);
  return ended.result;
}

const opens = (password: string, url = folder): Promise<boolean> =>
  runRestic(["cat", "config", "--no-lock"], lab.envFor({ url, password })).then(
    () => true,
    () => false,
  );
const keyFiles = () => readdir(join(folder, "keys"));

/** The agent's whole data folder and its log: grep ends with 1 when it finds nothing. */
function expectNowhere(secret: string): void {
  expect(() => execFileSync("grep", ["-rF", secret, join(lab.dir, "data")])).toThrow();
  expect(lab.logLines.join("")).not.toContain(secret);
  expect(JSON.stringify(lab.server.all("log.stream"))).not.toContain(secret);
}

describe("adding the new password", () => {
  test("makes it open the repository beside the old one, and leaves it nowhere on the host", async () => {
    await startInProgram(lab);
    const [old] = await keyFiles();
    const ended = await run("add", { new_password: NEW });
    expect(ended).toMatchObject({ status: "succeeded", error: null });
    const { current_key_id, new_key_id, keys } = resultOf(ended);
    expect(current_key_id).toBe(old);
    expect(keys.map(({ id }) => id).sort()).toEqual([old, new_key_id].sort());
    expect(keys.find(({ id }) => id === new_key_id)?.created_at).toMatch(/^20\d\d-.*Z$/);
    expect([await opens(NEW), await opens(lab.repository.password)]).toEqual([true, true]);
    expectNowhere(NEW);
  });

  test("once more adds no second key", async () => {
    await startInProgram(lab);
    const first = resultOf(await run("add", { new_password: NEW }));
    const second = resultOf(await run("add", { new_password: NEW }));
    expect(second).toEqual(first);
    expect(await keyFiles()).toHaveLength(2);
  });

  test("fails with a sentence when the stored password is wrong", async () => {
    if (lab.server.config) lab.server.config = { ...lab.server.config, repository: local("wrong") };
    await startInProgram(lab);
    const ended = await run("add", { new_password: NEW });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restic.wrong_password" } });
    expect(await keyFiles()).toHaveLength(1);
    expectNowhere(NEW);
  });

  test("goes on when the agent is killed while restic adds, with one new key in the end", async () => {
    const [path, gate, reached] = ["gated", "gate", "reached"].map((name) => join(lab.dir, name));
    const wait = `: > ${reached}; while [ ! -e ${gate} ]; do sleep 0.05; done`;
    const script = `#!/bin/sh\nif [ "$2" = add ]; then ${wait}; fi\nexec ${getResticPath()} "$@"\n`;
    await writeFile(path ?? "", script, { mode: 0o755 });
    lab.config.restic_path = path ?? null;
    lab.server.commands = [order("add", { new_password: NEW }, undefined, JOB)];
    const first = await startProgram(lab);
    await until("key add", () => existsSync(reached ?? ""));
    await killProgram(first);
    await writeFile(gate ?? "", "");
    await startProgram(lab);
    const ended = await endOf(lab, JOB);
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(resultOf(ended).new_key_id).not.toBeNull();
    expect(await keyFiles()).toHaveLength(2);
    expect(await opens(NEW)).toBe(true);
    expectNowhere(NEW);
  });

  test("does nothing when the agent was restarted before it began, and leaves no file with the password", async () => {
    const dir = join(lab.dir, "data", "jobs", JOB);
    await mkdir(dir, { recursive: true });
    const entry = { job_id: JOB, attempt: 1, spec: { kind: "key", step: "add" }, cancel_requested: false };
    const state = { version: 1, ...entry, missing_sources: null, with_access: true };
    await writeFile(join(dir, "state.json"), JSON.stringify(state));
    await writeFile(join(dir, "new-password"), NEW);
    await startInProgram(lab);
    expect(await endOf(lab, JOB)).toMatchObject({ status: "failed", error: { code: "agent.access_gone" } });
    expect(await keyFiles()).toHaveLength(1);
    expectNowhere(NEW);
  });
});

describe("adopting the new password", () => {
  test("tells both keys, and takes no new password that does not open the repository", async () => {
    await startInProgram(lab);
    const refused = await run("adopt", { access: local(), new_password: NEW });
    expect(refused).toMatchObject({ status: "failed", error: { code: "key.not_there" } });
    const added = resultOf(await run("add", { new_password: NEW }));
    const adopted = resultOf(await run("adopt", { access: local(), new_password: NEW }));
    expect(adopted).toEqual(added);
    expectNowhere(NEW);
  });

  test("is possible with a stored password that opens nothing any more", async () => {
    await startInProgram(lab);
    const added = resultOf(await run("add", { new_password: NEW }));
    const adopted = resultOf(await run("adopt", { access: local("stale"), new_password: NEW }));
    expect(adopted).toEqual({ ...added, current_key_id: null });
  });

  test("fails when another repository, or none, is under the address", async () => {
    await startInProgram(lab);
    await run("add", { new_password: NEW });
    const access = { ...local(), location: join(lab.dir, "elsewhere") };
    const ended = await run("adopt", { access, new_password: NEW });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restic.repository_missing" } });
  });
});

describe("verifying", () => {
  test("tells the key that the stored password opens", async () => {
    await startInProgram(lab);
    const added = resultOf(await run("add", { new_password: NEW }));
    expect(resultOf(await run("verify")).current_key_id).toBe(added.current_key_id);
    lab.server.send({ type: "config.update", version: 2, repository: local(NEW) });
    expect(resultOf(await run("verify")).current_key_id).toBe(added.new_key_id);
  });
});

describe("removing old keys", () => {
  test("removes those that were named and no other, after which the old password opens nothing", async () => {
    await startInProgram(lab);
    const { current_key_id: old, new_key_id: ours } = resultOf(await run("add", { new_password: NEW }));
    const third = resultOf(await run("add", { new_password: "a third" })).new_key_id;
    const ended = await run("remove", { access: local(NEW) }, [old ?? "", "0".repeat(64)]);
    expect(ended).toMatchObject({ status: "succeeded" });
    expect(
      resultOf(ended)
        .keys.map(({ id }) => id)
        .sort(),
    ).toEqual([ours, third].sort());
    expect(await opens(lab.repository.password)).toBe(false);
    expect([await opens(NEW), await opens("a third")]).toEqual([true, true]);
    // Once more there is nothing to do.
    expect(await run("remove", { access: local(NEW) }, [old ?? ""])).toMatchObject({ status: "succeeded" });
    expectNowhere(NEW);
  });

  test("never removes the key that opens the repository", async () => {
    await startInProgram(lab);
    const { current_key_id: old, new_key_id: ours } = resultOf(await run("add", { new_password: NEW }));
    const ended = await run("remove", { access: local(NEW) }, [old ?? "", ours ?? ""]);
    expect(ended).toMatchObject({ status: "failed", error: { code: "key.current" } });
    expect(await keyFiles()).toHaveLength(2);
  });

  test("follows a removal that an earlier agent began, and asks for the credentials again", async () => {
    const [path, gate, reached] = ["gated", "gate", "reached"].map((name) => join(lab.dir, name));
    const wait = `: > ${reached}; while [ ! -e ${gate} ]; do sleep 0.05; done`;
    const script = `#!/bin/sh\nif [ "$2" = remove ]; then ${wait}; fi\nexec ${getResticPath()} "$@"\n`;
    await writeFile(path ?? "", script, { mode: 0o755 });
    lab.config.restic_path = path ?? null;
    await startProgram(lab);
    const { current_key_id: old } = resultOf(await run("add", { new_password: NEW }));
    lab.server.commands = [order("remove", { access: local(NEW) }, [old ?? ""], OTHER_JOB)];
    lab.server.send(lab.server.commands[0] as ReturnType<typeof order>);
    await until("key remove", () => existsSync(reached ?? ""));
    await killProgram(lab.programs[0] as (typeof lab.programs)[0]);
    await writeFile(gate ?? "", "");
    await startProgram(lab);
    expect(await endOf(lab, OTHER_JOB)).toMatchObject({ error: { code: "agent.access_gone" } });
    expect(await keyFiles()).toHaveLength(1);
    expect(await opens(NEW)).toBe(true);
    expectNowhere(NEW);
  });
});

describe("through a rest-server", () => {
  async function serve(): Promise<{ everyday: RepositoryAccess; admin: RepositoryAccess }> {
    const root = join(lab.dir, "rest");
    await mkdir(join(root, "web"), { recursive: true });
    await cp(folder, join(root, "web", "repository"), { recursive: true });
    folder = join(root, "web", "repository");
    const appendOnly = await startRestServer({
      ...{ folder: root, users: { web: EVERYDAY }, flags: ["--append-only"] },
    });
    const full = await startRestServer({ folder: root, users: { web: ADMIN } });
    servers.push(appendOnly, full);
    const to = (server: RestServer, rest_password: string): RepositoryAccess => ({
      ...{ location: server.urlOf("web/repository"), password: lab.repository.password },
      ...{ rest_username: "web", rest_password },
    });
    const everyday = to(appendOnly, EVERYDAY);
    lab.server.config = { type: "config.update", version: 1, repository: everyday };
    return { everyday, admin: to(full, ADMIN) };
  }

  test("append-only storage takes the new key, refuses to remove the old one, and that is said", async () => {
    const { everyday, admin } = await serve();
    await startInProgram(lab);
    const { current_key_id: old } = resultOf(await run("add", { new_password: NEW }));
    expect(await run("adopt", { access: everyday, new_password: NEW })).toMatchObject({
      status: "succeeded",
    });
    const refused = await run("remove", { access: { ...everyday, password: NEW } }, [old ?? ""]);
    expect(refused).toMatchObject({ status: "failed", error: { code: "key.refused" } });
    expect(refused?.error?.message).toContain("append-only");
    expect([await opens(NEW), await opens(lab.repository.password)]).toEqual([true, true]);
    const removed = await run("remove", { access: { ...admin, password: NEW } }, [old ?? ""]);
    expect(removed).toMatchObject({ status: "succeeded" });
    expect([await opens(NEW), await opens(lab.repository.password)]).toEqual([true, false]);
    for (const secret of [NEW, ADMIN]) expectNowhere(secret);
  });

  test("a host whose user is refused there adopts nothing", async () => {
    const { everyday } = await serve();
    await startInProgram(lab);
    await run("add", { new_password: NEW });
    const access = { ...everyday, rest_password: "another" };
    const ended = await run("adopt", { access, new_password: NEW });
    expect(ended).toMatchObject({ status: "failed", error: { code: "restic.unauthorised" } });
  });
});
