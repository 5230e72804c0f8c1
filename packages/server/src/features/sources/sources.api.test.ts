/** The JSON routes of source groups, hooks and folders as a client sees them. */
import type { FsEntries, FsList } from "@restic-manager/protocol";
import {
  buildTestApp,
  FakeClock,
  openTestDatabase,
  type TestDatabase,
  testIdentity,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppError } from "../../platform/errors.ts";
import { EventBus } from "../../platform/events.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { createSecretBox } from "../../platform/secrets.ts";
import { createHost, type Host, touchHosts } from "../hosts/hosts.ts";
import { getJob, LiveProgress } from "../jobs/jobs.ts";
import { registerSourceRoutes } from "./sources.api.ts";
import { backupsOf, type GroupBody } from "./sources.ts";
import type { WireGroup } from "./sources.wire.ts";

let clock: FakeClock;
let database: TestDatabase;
let app: App;
let role: Role;
let asked: unknown[];
/** What the host's agent answers to a folder. */
let folder: () => FsEntries;

beforeEach(async () => {
  clock = new FakeClock();
  database = await openTestDatabase("sqlite");
  role = "operator";
  asked = [];
  folder = () => ({ type: "fs.entries", request_id: "R", entries: [], more: false, error: null });
  app = (await buildTestApp({ identify: async () => testIdentity(role) })).app;
  const { db } = database;
  const bus = new EventBus(createLog("silent"));
  registerSourceRoutes(app, {
    ...{ db, clock, bus, events: bus, box: createSecretBox(Buffer.alloc(32, 7)) },
    progress: new LiveProgress({ db, bus }),
    isConnected: () => true,
    specsOf: async (host: Host, request) => (request.kind === "backup" ? backupsOf(db, host, request) : []),
    schedulesUsing: async () => [],
    async listFolder(hostId: string, question: Pick<FsList, "path" | "after" | "limit">) {
      asked.push({ hostId, ...question });
      return folder();
    },
  });
  const shared = { arch: "x64", tags: [], repositoryId: null, agentVersion: null, resticVersion: null };
  for (const [id, name, os] of [
    ["H1", "web-01", "linux"],
    ["H2", "win-01", "windows"],
  ] as const) {
    await createHost(db, { ...shared, id, name, os, bearer: id, at: clock.now() });
  }
  await touchHosts(db, new Map([["H1", clock.now()]]), clock.now());
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const url = "/api/hosts/H1/source-groups";
const get = (path: string) => app.inject({ url: path });
const post = (path: string, payload?: object) =>
  app.inject({ method: "POST", url: path, ...(payload ? { payload } : {}) });
const put = (path: string, payload: object) => app.inject({ method: "PUT", url: path, payload });
const remove = (path: string) => app.inject({ method: "DELETE", url: path });
async function add(more: Partial<GroupBody> = {}): Promise<WireGroup> {
  const answer = await post(url, { name: "web", includes: ["/srv"], ...more });
  expect(answer.statusCode).toBe(201);
  return answer.json<WireGroup>();
}
/** What a client sends back of a group that it read. */
function editable(group: WireGroup): object {
  const { id, host_id, pre_hook, post_hook, created_at, updated_at, ...fields } = group;
  return fields;
}
const hook = { script: "pg_dumpall > /srv/dump # pw=in-a-hook", timeout_seconds: 30 };

describe("a source group", () => {
  it("is made, read back, listed, replaced and removed", async () => {
    const made = await add({ retention: { keep_daily: 7 }, pre_hook: hook });
    expect(made).toEqual({
      id: made.id,
      host_id: "H1",
      name: "web",
      includes: ["/srv"],
      excludes: [],
      exclude_if_present: [],
      exclude_larger_than_bytes: null,
      one_file_system: false,
      exclude_caches: false,
      min_size_bytes: null,
      retention: {
        keep_last: null,
        keep_hourly: null,
        keep_daily: 7,
        keep_weekly: null,
        keep_monthly: null,
        keep_yearly: null,
        keep_within: null,
      },
      retry_max: 3,
      retry_backoff_seconds: 60,
      pre_hook: {
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        timeout_seconds: 30,
        updated_at: "2026-11-23T04:00:00.000Z",
      },
      post_hook: null,
      version: 1,
      created_at: "2026-11-23T04:00:00.000Z",
      updated_at: null,
    });
    role = "viewer";
    expect((await get(`${url}/${made.id}`)).json()).toEqual(made);
    expect((await get(url)).json()).toEqual({ source_groups: [made] });
    role = "operator";
    const edit = { ...editable(made), includes: ["/srv", "/etc"], pre_hook: null };
    const edited = await put(`${url}/${made.id}`, edit);
    expect(edited.json()).toMatchObject({ version: 2, includes: ["/srv", "/etc"], pre_hook: null });
    await add({ name: "other" });
    const removed = await remove(`${url}/${made.id}`);
    expect([removed.statusCode, removed.body]).toEqual([204, ""]);
    expect((await get(`${url}/${made.id}`)).json()).toMatchObject({ code: "sources.not_found" });
  });

  it("goes back as it was read, and nothing happens", async () => {
    const made = await add({ post_hook: hook });
    expect((await put(`${url}/${made.id}`, editable(made))).json()).toEqual(made);
  });

  it("is not replaced by half of one", async () => {
    const made = await add();
    const answer = await put(`${url}/${made.id}`, { name: "web", includes: ["/srv"], version: 1 });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<{ details: { path: string }[] }>().details.map(({ path }) => path)).toContain(
      "retention",
    );
  });

  it("names every wrong field with its sentence", async () => {
    const answer = await post(url, { name: "a,b", includes: ["C:\\Users"], retention: { keep_last: 0 } });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({
      code: "sources.invalid",
      details: [{ path: "name" }, { path: "includes" }, { path: "retention.keep_last" }],
    });
    expect((await post(url, { name: "a", includes: ["/a"], colour: "red" })).json()).toMatchObject({
      code: "request.invalid",
    });
    const huge = { name: "a", includes: ["/a"], pre_hook: { script: "a".repeat(2 ** 20) } };
    expect((await post(url, huge)).json()).toMatchObject({ code: "sources.hook_too_large" });
  });

  it("that somebody else changed comes back as it is now", async () => {
    const made = await add();
    await put(`${url}/${made.id}`, { ...editable(made), excludes: ["*.o"] });
    const answer = await put(`${url}/${made.id}`, { ...editable(made), includes: ["/etc"] });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({
      code: "sources.edit_conflict",
      details: { current: { version: 2, excludes: ["*.o"] }, changed: ["includes", "excludes"] },
    });
  });

  it("is cloned to a host that can have its paths", async () => {
    const made = await add();
    const clone = (body: object) => post(`${url}/${made.id}/clone`, body);
    expect((await clone({ host_id: "H1", name: "copy" })).json()).toMatchObject({ name: "copy" });
    expect((await clone({ host_id: "H1" })).json()).toMatchObject({ code: "sources.name_taken" });
    expect((await clone({ host_id: "H2" })).json()).toMatchObject({ code: "sources.path_foreign" });
    expect((await clone({ host_id: "H9" })).statusCode).toBe(404);
  });

  it("runs now, with limits of its own or without a body", async () => {
    const made = await add();
    const run = async (payload?: object) =>
      (await post(`${url}/${made.id}/run`, payload)).json<{ job_id: string }>();
    const plain = await getJob(database.db, (await run()).job_id);
    expect(plain).toMatchObject({ kind: "backup", sourceGroupId: made.id, sourceGroup: "web" });
    expect(plain.spec).not.toHaveProperty("limits");
    const capped = await getJob(database.db, (await run({ limits: { upload_kib: 9 } })).job_id);
    expect(capped.spec).toMatchObject({ limits: { upload_kib: 9 } });
    expect(await run({ limits: { upload_kib: 0 } })).toMatchObject({ code: "request.invalid" });
  });

  it("is for operators to change", async () => {
    const made = await add();
    role = "viewer";
    const answers = await Promise.all([
      post(url, {}),
      put(`${url}/${made.id}`, {}),
      remove(`${url}/${made.id}`),
      post(`${url}/${made.id}/clone`, {}),
      post(`${url}/${made.id}/run`),
      put("/api/hosts/H1/hooks", {}),
      get(`${url}/${made.id}/hooks`),
      get("/api/hosts/H1/files"),
    ]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 403));
  });
});

describe("hooks", () => {
  it("show their text to an operator who asks for it, and nowhere else", async () => {
    const { id } = await add({ pre_hook: hook });
    const open = await get(`${url}/${id}/hooks`);
    expect(open.json()).toEqual({ pre_hook: hook, post_hook: null });
    expect(open.headers["cache-control"]).toBe("no-store");
    for (const path of [url, `${url}/${id}`]) expect((await get(path)).body).not.toContain("in-a-hook");
  });

  it("of a host hold for groups that have none: set, kept when left out, removed by null", async () => {
    const path = "/api/hosts/H1/hooks";
    expect((await get(path)).json()).toEqual({ pre_hook: null, post_hook: null });
    const set = await put(path, { post_hook: { script: "true" } });
    expect(set.json()).toMatchObject({ pre_hook: null, post_hook: { timeout_seconds: 600 } });
    expect((await put(path, { pre_hook: hook })).body).not.toContain("in-a-hook");
    role = "viewer";
    expect((await get(path)).json()).toMatchObject({ pre_hook: { timeout_seconds: 30 }, post_hook: {} });
    role = "operator";
    expect((await put(path, { post_hook: null })).json()).toMatchObject({ post_hook: null });
    expect((await put(path, { hook })).json()).toMatchObject({ code: "request.invalid" });
    expect((await put(path, { pre_hook: { script: "" } })).json()).toMatchObject({ code: "sources.invalid" });
    expect((await get("/api/hosts/H9/hooks")).statusCode).toBe(404);
  });
});

describe("the folders of a host", () => {
  const files = (query: string, id = "H1") => get(`/api/hosts/${id}/files${query}`);

  it("are read page by page, from where the host begins", async () => {
    folder = () => ({
      type: "fs.entries",
      request_id: "R",
      entries: [{ name: "etc", kind: "folder", size_bytes: null }],
      more: true,
      error: null,
    });
    expect((await files("")).json()).toEqual({
      entries: [{ name: "etc", kind: "folder", size_bytes: null }],
      more: true,
    });
    await files("?path=%2Fsrv%2Fa%20b&after=%C3%A9");
    expect(asked).toEqual([
      { hostId: "H1", path: null, after: null, limit: 500 },
      { hostId: "H1", path: "/srv/a b", after: "é", limit: 500 },
    ]);
  });

  it("that the host can't read are told in its words", async () => {
    const error = { code: "fs.no_rights", message: "The agent may not read /root." };
    folder = () => ({ type: "fs.entries", request_id: "R", entries: [], more: false, error });
    const answer = await files("?path=/root");
    expect(answer.statusCode).toBe(422);
    expect(answer.json()).toMatchObject(error);
  });

  it("of a host that is away or silent are refused", async () => {
    folder = () => {
      throw new AppError("timeout", "agent.no_answer", "The agent did not answer.");
    };
    expect((await files("")).statusCode).toBe(504);
    expect((await files("?path=a%00b")).statusCode).toBe(400);
    expect((await files("", "H9")).json()).toMatchObject({ code: "hosts.not_found" });
  });
});
