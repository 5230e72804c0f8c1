/** Jobs and their logs on both engines: the table of transitions walked whole, races, chunks, odd bytes. */
import {
  engines,
  FakeClock,
  linesOf,
  makeHost,
  openTestDatabase,
  type TestDatabase,
} from "@restic-manager/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { EventBus } from "../../platform/events.ts";
import { systemActor } from "../../platform/http/identity.ts";
import { createLog } from "../../platform/log.ts";
import { appendLog, countLogLines, readLog, streamLog } from "./jobs.log.ts";
import { findNextQueued } from "./jobs.store.ts";
import {
  countJobs,
  createJobs,
  getJob,
  isFinal,
  type Job,
  type JobStatus,
  jobStatuses,
  listJobs,
  listLatestJobs,
  moveJob,
  transitions,
} from "./jobs.ts";

const clock = new FakeClock();
const init = { kind: "init" } as const;
const backup = (group: string) => ({
  kind: "backup" as const,
  host_name: "h",
  source_group: group,
  includes: ["/etc"],
  excludes: [],
});

describe.each(engines)("jobs on %s", (engine) => {
  let database: TestDatabase;
  let db: Db;
  let hostId: string;
  beforeEach(async () => {
    database = await openTestDatabase(engine);
    db = database.db;
    hostId = await addHost("h");
  });
  afterEach(() => database.close());

  async function addHost(name: string): Promise<string> {
    return (await makeHost(db, { name, at: clock.now() })).id;
  }

  async function addJob(spec: Job["spec"] = init): Promise<Job> {
    await clock.advance(1);
    const deps = { db, clock, bus: new EventBus(createLog("silent")) };
    const [job] = await createJobs(deps, [{ hostId, spec, actor: systemActor }]);
    return getJob(db, job?.id ?? "");
  }

  /** A job that is in this status, whatever way led there. */
  async function jobIn(status: JobStatus): Promise<Job> {
    const job = await addJob();
    await sql`UPDATE jobs SET status = ${status}, attempt = 1 WHERE id = ${job.id}`.execute(db);
    return getJob(db, job.id);
  }

  it("come after a restore, however long they wait and whoever asked", async () => {
    await addJob(backup("default"));
    const restore = await addJob({
      ...{ kind: "restore", snapshot_id: "9f86d081", paths: ["/etc"], target: { kind: "directory" } },
      ...{ keep_ownership: false, includes: [], excludes: [], dry_run: false, verify: false, path_map: [] },
    });
    await addJob(backup("default"));
    expect((await findNextQueued(db, hostId))?.id).toBe(restore.id);
  });

  it("move along the table and nowhere else", async () => {
    for (const from of jobStatuses)
      for (const to of jobStatuses) {
        const job = await jobIn(from);
        const moving = moveJob(db, job, to);
        if (transitions[from].includes(to)) expect(await moving).toMatchObject({ id: job.id, status: to });
        else await expect(moving).rejects.toMatchObject({ code: "jobs.transition_invalid" });
        const expected = transitions[from].includes(to) ? to : from;
        expect((await getJob(db, job.id)).status).toBe(expected);
      }
  });

  it("that are final have no way back to work", () => {
    const working: JobStatus[] = ["queued", "dispatched", "running"];
    for (const status of jobStatuses.filter(isFinal))
      expect(transitions[status].filter((to) => working.includes(to))).toEqual([]);
    expect(jobStatuses.filter((status) => !isFinal(status))).toEqual(working);
  });

  it("are moved by one of two that race", async () => {
    const job = await jobIn("running");
    const moves = await Promise.all(
      (["succeeded", "lost", "failed", "cancelled"] as const).map((to) =>
        inTransaction(db, (tx) => moveJob(tx, job, to)),
      ),
    );
    const won = moves.filter((moved) => moved !== null);
    expect(won).toHaveLength(1);
    expect((await getJob(db, job.id)).status).toBe(won[0]?.status);
  });

  it("are not moved by who saw an older attempt", async () => {
    const seen = await jobIn("dispatched");
    await sql`UPDATE jobs SET attempt = 2 WHERE id = ${seen.id}`.execute(db);
    expect(await moveJob(db, seen, "failed")).toBeNull();
    expect((await getJob(db, seen.id)).status).toBe("dispatched");
  });

  it("keep everything that a move writes", async () => {
    const error = { code: "restic.locked", message: "Locked.", last_lines: ["a\u0000b", "\ud800", "ü"] };
    const patch = { startedAt: 5, finishedAt: 9, exitCode: 11, logLines: 3, error };
    const moved = await moveJob(db, await jobIn("running"), "failed", patch);
    expect(moved).toMatchObject(patch);
    const stored = await getJob(db, moved?.id ?? "");
    expect(stored).toMatchObject({ ...patch, error: { code: "restic.locked", message: "Locked." } });
  });

  it("are listed newest first, by host, status and kind, in pages", async () => {
    const made = [await addJob(), await addJob(backup("a")), await addJob(backup("b"))];
    const ids = made.map((job) => job.id).toReversed();
    const list = async (filter: Parameters<typeof listJobs>[1], page = { limit: 10, offset: 0 }) =>
      (await listJobs(db, filter, page)).map((job) => job.id);
    expect(await list({ hostId })).toEqual(ids);
    expect(await list({ hostId }, { limit: 1, offset: 1 })).toEqual(ids.slice(1, 2));
    expect(await list({ kind: "backup" })).toEqual(ids.slice(0, 2));
    expect(await list({ statuses: ["running"] })).toEqual([]);
    expect(await countJobs(db, { hostId: "nobody" })).toBe(0);
    expect(await countJobs(db, { hostId })).toBe(3);
  });

  it("tell the newest finished backup of each group of each host", async () => {
    const end = async (job: Job, to: "succeeded" | "failed") => {
      const running = await moveJob(db, job, "dispatched", { attempt: 1 });
      const started = running && (await moveJob(db, running, "running"));
      if (started) await moveJob(db, started, to, { finishedAt: clock.now() });
    };
    await end(await addJob(backup("a")), "succeeded");
    const newestA = await addJob(backup("a"));
    await end(newestA, "failed");
    const onlyB = await addJob(backup("b"));
    await end(onlyB, "succeeded");
    const waiting = await addJob(backup("a"));
    // A cancelled one says nothing about how the host stands.
    await moveJob(db, await addJob(backup("a")), "cancelled", { finishedAt: clock.now() });
    await end(await addJob(), "succeeded");
    const { backups, active } = await listLatestJobs(db, [newestA.hostId, "another host"]);
    expect(backups.map((job) => job.id).sort()).toEqual([newestA.id, onlyB.id].sort());
    expect(active.map((job) => job.id)).toEqual([waiting.id]);
    expect((await listLatestJobs(db, ["another host"])).backups).toEqual([]);
  });

  describe("logs", () => {
    it("take the same lines again without a double, and an overlap only for its new lines", async () => {
      const { id } = await addJob();
      await appendLog(db, id, linesOf(1, 3));
      await appendLog(db, id, linesOf(1, 3));
      await appendLog(db, id, linesOf(2, 5));
      const all = [];
      for await (const lines of streamLog(db, id)) all.push(...lines);
      expect(all).toEqual(linesOf(1, 5));
      expect(await countLogLines(db, id)).toBe(5);
    });

    it("are read from any line on", async () => {
      const { id } = await addJob();
      await appendLog(db, id, linesOf(1, 3));
      await appendLog(db, id, linesOf(4, 6));
      expect((await readLog(db, id, 1)).map((line) => line.n)).toEqual([1, 2, 3]);
      expect((await readLog(db, id, 3)).map((line) => line.n)).toEqual([3]);
      expect((await readLog(db, id, 5)).map((line) => line.n)).toEqual([5, 6]);
      expect(await readLog(db, id, 7)).toEqual([]);
    });

    it("keep what restic printed, whatever it was", async () => {
      const odd = [
        "</script><script>alert(1)</script>",
        "a\nb\r\nc",
        "\u0000\u001b[31m",
        "\ufffd",
        "",
        "😀 \u2028",
      ];
      const { id } = await addJob();
      const lines = linesOf(1, odd.length, (n) => odd[n - 1] ?? "");
      await appendLog(db, id, lines);
      expect(await readLog(db, id, 1)).toEqual(lines);
    });

    it("of another job stay apart, and go with their host", async () => {
      const [one, other] = [await addJob(), await addJob()];
      await appendLog(db, one.id, linesOf(1, 2));
      expect(await countLogLines(db, other.id)).toBe(0);
      await sql`DELETE FROM hosts WHERE id = ${hostId}`.execute(db);
      expect(await countLogLines(db, one.id)).toBe(0);
      await expect(getJob(db, one.id)).rejects.toMatchObject({ code: "jobs.not_found" });
    });
  });

  it("are written all or none", async () => {
    const deps = { db, clock, bus: new EventBus(createLog("silent")) };
    const some = [hostId, "nobody"].map((id) => ({ hostId: id, spec: init, actor: systemActor }));
    await expect(createJobs(deps, some)).rejects.toMatchObject({ code: "hosts.not_found" });
    expect(await countJobs(db, {})).toBe(0);
  });
});
