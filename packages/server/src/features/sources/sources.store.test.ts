/** Source groups on both engines: what a new host starts with, and which jobs a wish becomes. */
import { engines, FakeClock, makeHost, openTestDatabase, type TestDatabase } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Host } from "../hosts/hosts.ts";
import { backupsOf, createDefaultGroup, listSourceGroups } from "./sources.ts";

const clock = new FakeClock();

describe.each(engines)("source groups on %s", (engine) => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
  });
  afterEach(() => database.close());

  function addHost(os = "linux"): Promise<Host> {
    return makeHost(database.db, { os, at: clock.now() });
  }

  it("begin with the token's paths, in their order and nothing else", async () => {
    const host = await addHost();
    const made = await createDefaultGroup(database.db, {
      host,
      initialPaths: ["/srv/a b", "/etc"],
      at: clock.now(),
    });
    expect(made).toMatchObject({ name: "default", includes: ["/srv/a b", "/etc"], excludes: [] });
    expect(await listSourceGroups(database.db, host.id)).toEqual([made]);
  });

  it.each([
    { os: "linux", include: "/", excluded: "/proc" },
    { os: "darwin", include: "/", excluded: "/dev" },
    { os: "windows", include: "C:\\Users", excluded: null },
  ])("begin with the whole host on $os when no path was given", async ({ os, include, excluded }) => {
    const host = await addHost(os);
    const made = await createDefaultGroup(database.db, { host, initialPaths: [], at: clock.now() });
    expect(made.includes).toEqual([include]);
    if (excluded) expect(made.excludes).toContain(excluded);
    else expect(made.excludes).toEqual([]);
  });

  it("leave out of the agent's folder what it makes again, never a server's database", async () => {
    const host = await addHost();
    const { excludes } = await createDefaultGroup(database.db, { host, initialPaths: [], at: clock.now() });
    const folder = "/var/lib/restic-manager";
    const leftOut = (path: string) =>
      excludes.some((exclude) => path === exclude || path.startsWith(`${exclude}/`));
    for (const name of ["cache", "trees", "drills", "work", "update"])
      expect(leftOut(`${folder}/${name}/file`)).toBe(true);
    for (const name of ["restic-manager.db", "secret.key", "outbox"])
      expect(leftOut(`${folder}/${name}`)).toBe(false);
  });

  it("become one backup each, or the one that is meant", async () => {
    const host = await addHost();
    const group = await createDefaultGroup(database.db, { host, initialPaths: ["/etc"], at: clock.now() });
    const spec = {
      kind: "backup",
      host_name: "h",
      source_group: "default",
      includes: ["/etc"],
      excludes: [],
    };
    const planned = { spec, sourceGroupId: group.id };
    expect(await backupsOf(database.db, host, { kind: "backup" })).toEqual([planned]);
    const one = { kind: "backup", source_group_id: group.id } as const;
    expect(await backupsOf(database.db, host, one)).toEqual([planned]);
    const limits = { upload_kib: 100 };
    expect(await backupsOf(database.db, host, { ...one, limits })).toEqual([
      { ...planned, spec: { ...spec, limits } },
    ]);
  });

  it("that are not there are refused, each with its own code", async () => {
    const host = await addHost();
    const wish = { kind: "backup" } as const;
    await expect(backupsOf(database.db, host, wish)).rejects.toMatchObject({ code: "sources.none" });
    await createDefaultGroup(database.db, { host, initialPaths: ["/etc"], at: clock.now() });
    const [group] = await listSourceGroups(database.db, host.id);
    for (const unknown of [{ source_group_id: "x" }, { source_group_ids: [group?.id ?? "", "x"] }]) {
      await expect(backupsOf(database.db, host, { ...wish, ...unknown })).rejects.toMatchObject({
        code: "sources.not_found",
      });
    }
  });
});
