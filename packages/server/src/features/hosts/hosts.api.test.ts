/** The JSON routes of hosts as a client sees them. */
import {
  buildTestApp,
  FakeClock,
  openTestDatabase,
  type TestDatabase,
  testIdentity,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventBus } from "../../platform/events.ts";
import type { Role } from "../../platform/http/identity.ts";
import type { App } from "../../platform/http/route.ts";
import { createLog } from "../../platform/log.ts";
import { registerHostRoutes } from "./hosts.api.ts";
import { createHost, findHost, touchHosts } from "./hosts.ts";

const clock = new FakeClock();
let database: TestDatabase;
let app: App;
let role: Role | null;

beforeEach(async () => {
  database = await openTestDatabase("sqlite");
  role = "operator";
  app = (await buildTestApp({ identify: async () => (role ? testIdentity(role) : null) })).app;
  const events = new EventBus(createLog("silent"));
  registerHostRoutes(app, { db: database.db, clock, events, losses: async () => ({ jobs: 2 }) });
  const shared = { os: "linux", arch: "x64", repositoryId: null, agentVersion: "0.1.0", resticVersion: null };
  for (const [id, name, tags] of [
    ["H1", "Web-01", ["prod"]],
    ["H2", "db-01", ["prod", "db"]],
  ] as const) {
    await createHost(database.db, {
      ...shared,
      id,
      name,
      tags: [...tags],
      bearer: `bearer-${id}`,
      at: clock.now(),
    });
  }
  await touchHosts(database.db, new Map([["H1", clock.now()]]), clock.now());
});
afterEach(async () => {
  await app.close();
  await database.close();
});

const get = (url: string) => app.inject({ url });
const names = async (query: string) =>
  (await get(`/api/hosts${query}`)).json<{ hosts: { name: string }[] }>().hosts.map(({ name }) => name);

describe("the list of hosts", () => {
  it("holds what a client needs, and no bearer", async () => {
    role = "viewer";
    const answer = await get("/api/hosts/H1");
    expect(answer.json()).toEqual({
      id: "H1",
      name: "Web-01",
      os: "linux",
      arch: "x64",
      tags: ["prod"],
      repository_id: null,
      agent_version: "0.1.0",
      restic_version: null,
      restic_problem: null,
      online: true,
      clock_skew_ms: null,
      mode: "always-on",
      schedule_version: 0,
      applied_schedule_version: null,
      hooks_allowed: null,
      bandwidth: { upload_kib: null, download_kib: null },
      created_at: "2026-11-23T04:00:00.000Z",
      first_connected_at: null,
      last_seen_at: "2026-11-23T04:00:00.000Z",
    });
  });

  it("narrows by name, tag and state", async () => {
    expect(await names("")).toEqual(["db-01", "Web-01"]);
    expect(await names("?q=WEB")).toEqual(["Web-01"]);
    expect(await names("?name=web-01")).toEqual(["Web-01"]);
    expect(await names("?name=web")).toEqual([]);
    expect(await names("?tag=db")).toEqual(["db-01"]);
    expect(await names("?state=online&tag=prod")).toEqual(["Web-01"]);
    expect(await names("?state=offline")).toEqual(["db-01"]);
    expect((await get("/api/hosts?state=asleep")).statusCode).toBe(400);
  });

  it("comes in pages, each with the way to the next one", async () => {
    const page = async (query: string) => (await get(`/api/hosts${query}`)).json();
    const first = await page("?limit=1");
    expect(first).toMatchObject({ hosts: [{ name: "db-01" }], next: "db-01" });
    expect(await page(`?limit=1&after=${first.next}`)).toMatchObject({
      hosts: [{ name: "Web-01" }],
      next: null,
    });
    expect(await page("?limit=2")).toMatchObject({ next: null });
    expect(await page("?after=zzz")).toEqual({ hosts: [], next: null });
    expect((await page("")).hosts).toHaveLength(2);
    for (const limit of ["0", "1001", "x"])
      expect((await get(`/api/hosts?limit=${limit}`)).statusCode).toBe(400);
  });

  it("knows no host that does not exist", async () => {
    const answer = await get("/api/hosts/H9");
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ code: "hosts.not_found" });
    expect((await get("/api/hosts/%00")).statusCode).toBe(400);
  });

  it("is for people who are signed in", async () => {
    role = null;
    expect((await get("/api/hosts")).statusCode).toBe(401);
  });
});

describe("deleting a host", () => {
  const remove = (payload: object) => app.inject({ method: "DELETE", url: "/api/hosts/H1", payload });

  it("needs the exact name", async () => {
    const answer = await remove({ confirm_name: "web-01" });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: "hosts.name_mismatch", details: [{ path: "confirm_name" }] });
    expect((await remove({})).json()).toMatchObject({ code: "request.invalid" });
    expect(await findHost(database.db, "H1")).not.toBeNull();
  });

  it("is for operators", async () => {
    role = "viewer";
    expect((await remove({ confirm_name: "Web-01" })).statusCode).toBe(403);
    expect(await findHost(database.db, "H1")).not.toBeNull();
  });

  it("happens once", async () => {
    const answer = await remove({ confirm_name: "Web-01" });
    expect(answer.statusCode).toBe(204);
    expect(answer.body).toBe("");
    expect(await findHost(database.db, "H1")).toBeNull();
    expect((await remove({ confirm_name: "Web-01" })).statusCode).toBe(404);
  });
});

describe("the settings of a host", () => {
  const put = (what: string, payload: object, id = "H1") =>
    app.inject({ method: "PUT", url: `/api/hosts/${id}/${what}`, payload });

  it("cap what restic sends and fetches; null is unlimited", async () => {
    const answer = await put("bandwidth", { upload_kib: 512, download_kib: null });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({
      bandwidth: { upload_kib: 512, download_kib: null },
      schedule_version: 1,
    });
    const freed = await put("bandwidth", { upload_kib: null, download_kib: null });
    expect(freed.json()).toMatchObject({ bandwidth: { upload_kib: null, download_kib: null } });
  });

  it.each([
    { upload_kib: 0, download_kib: null },
    { upload_kib: 1.5, download_kib: null },
    { upload_kib: 2 ** 31, download_kib: null },
    { upload_kib: "512", download_kib: null },
    { upload_kib: 512 },
    { upload_kib: 512, download_kib: null, unit: "MiB" },
  ])("are not %j", async (payload) => {
    const answer = await put("bandwidth", payload);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: "request.invalid" });
    expect(await findHost(database.db, "H1")).toMatchObject({ uploadKib: null, scheduleVersion: 0 });
  });

  it("say whether it is always on", async () => {
    expect((await put("mode", { mode: "intermittent" })).json()).toMatchObject({ mode: "intermittent" });
    expect((await put("mode", { mode: "sometimes" })).statusCode).toBe(400);
    expect(await findHost(database.db, "H1")).toMatchObject({ mode: "intermittent" });
  });

  it("are for operators, and of a host that exists", async () => {
    expect((await put("mode", { mode: "intermittent" }, "H9")).json()).toMatchObject({
      code: "hosts.not_found",
    });
    role = "viewer";
    expect((await put("mode", { mode: "intermittent" })).statusCode).toBe(403);
    expect((await put("bandwidth", { upload_kib: 1, download_kib: 1 })).statusCode).toBe(403);
  });
});
