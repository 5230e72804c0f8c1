/** The tabs of a host's source groups and schedules. */
import { find, findControl, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { type ComponentChildren, h } from "preact";
import { describe, expect, it } from "vitest";
import { renderFragment } from "../../platform/html/page.tsx";
import { type ScheduleRow, SchedulesTab } from "./host-schedules.views.tsx";
import { type SourceRow, SourcesTab } from "./host-sources.views.tsx";

const host = { id: "H1", online: true, lastSeenAt: PAGE_NOW };
type Role = "admin" | "viewer";
const draw = (content: ComponentChildren, role: Role = "admin") =>
  parseHtml(renderFragment(viewPage({ user: { name: "x", role } }), content));

const group = (overrides: Partial<SourceRow> = {}): SourceRow => ({
  id: "G1",
  name: "databases",
  includes: ["/srv/a", "/srv/b", "/srv/c"],
  kept: "7 daily, 4 weekly",
  conflicts: [],
  usedBy: [{ scheduleId: "S1", cron: "0 3 * * *", words: "At 03:00" }],
  lastRun: { jobId: "J1", status: "succeeded", at: PAGE_NOW - 720_000 },
  ...overrides,
});
const sources = (groups: SourceRow[], role: Role = "admin", online = true) =>
  draw(h(SourcesTab, { groups, host: { ...host, online } }), role);

const schedule = (overrides: Partial<ScheduleRow> = {}): ScheduleRow => ({
  id: "S1",
  cron: "0 3 * * 1-5",
  words: "At 03:00, Monday through Friday",
  timeZone: "Europe/Berlin",
  groups: ["databases", "www"],
  standing: { state: "active" },
  nextAt: PAGE_NOW + 7_200_000,
  last: { at: PAGE_NOW - 3_600_000, status: "warning", jobId: "J2" },
  ...overrides,
});
const schedules = (rows: ScheduleRow[], role: Role = "admin", online = true) =>
  draw(h(SchedulesTab, { schedules: rows, host: { ...host, online } }), role);

describe("the sources tab", () => {
  it("has one row for each group, which leads as a whole to the group's page", () => {
    const row = find(sources([group()]), "#source-G1");
    expect(find(row, "a.row-link").getAttribute("href")).toBe("/hosts/H1/sources/G1");
    expect(row.querySelectorAll("td").map(textOf)).toEqual([
      "databases+1 · /srv/a, /srv/b",
      "7 daily, 4 weekly",
      "0 3 * * *At 03:00",
      "succeeded12m ago",
      "Run now",
    ]);
    expect(row.toString()).not.toContain("Edit");
  });

  it("runs one group by a form that carries the token", () => {
    const root = sources([group()]);
    const button = findControl(root, "Run now: databases");
    expect(button.getAttribute("formaction")).toBe("/hosts/H1/sources/G1/run");
    expect(find(root, `form#${button.getAttribute("form")} input[name="csrf_token"]`)).toBeDefined();
    expect(
      findControl(sources([group()], "admin", false), "Run now: databases").hasAttribute("disabled"),
    ).toBe(true);
  });

  it("says that without retention nothing is forgotten, and that nothing runs it", () => {
    const row = find(sources([group({ kept: null, usedBy: [], lastRun: null })]), "#source-G1");
    expect(textOf(row)).toContain("for evernothing is forgottenby hand onlynever run");
  });

  it("marks what is kept finer than it is run", () => {
    const row = find(sources([group({ conflicts: ["It keeps hourly ones."] })]), "#source-G1");
    expect(row.getAttribute("class")).toBe("warn");
    expect(find(row, ".word.warn[title]").getAttribute("title")).toBe("It keeps hourly ones.");
  });

  it("says what to do when there is none, and offers a viewer nothing to change", () => {
    const empty = sources([]);
    expect(textOf(empty)).toContain("Nothing of this host is backed up");
    expect(findControl(empty, "New group").getAttribute("href")).toBe("/hosts/H1/sources/new");
    expect(sources([group()], "viewer").querySelectorAll("button, form, a.btn")).toHaveLength(0);
  });

  it("shows hostile names and paths as the text they are", () => {
    const hostile = '"><img src=x onerror=y>';
    const root = sources([group({ name: hostile, includes: [hostile] })]);
    expect(root.querySelectorAll("img")).toHaveLength(0);
    expect(textOf(find(root, ".row-link"))).toBe(hostile);
  });
});

describe("the schedules tab", () => {
  it("has one row for each schedule, with words, zone, groups, next and last", () => {
    const row = find(schedules([schedule()]), "#schedule-S1");
    expect(find(row, "a.row-link").getAttribute("href")).toBe("/hosts/H1/schedules/S1");
    expect(row.querySelectorAll("td").map(textOf)).toEqual([
      "0 3 * * 1-5At 03:00, Monday through Friday · Europe/Berlin",
      "databaseswww",
      "activein 2h",
      "warnings1h ago",
      "Run nowPause",
    ]);
    expect(row.querySelectorAll("time").map((time) => time.getAttribute("title"))).toEqual([
      "2026-11-23 06:53:20 UTC",
      "2026-11-23 03:53:20 UTC",
    ]);
  });

  it.each<{ standing: ScheduleRow["standing"]; words: string }>([
    { standing: { state: "paused", since: PAGE_NOW - 86_400_000 * 9 }, words: "pausedsince 9d ago" },
    {
      standing: { state: "offline", plannedAt: PAGE_NOW - 7_200_000 },
      words: "waiting for the hostplanned 2h ago",
    },
    { standing: { state: "retry", retry: 2, nextTryAt: PAGE_NOW + 240_000 }, words: "retry 2in 4m" },
    { standing: { state: "running", plannedAt: PAGE_NOW - 60_000 }, words: "runningplanned 1m ago" },
  ])("says $words", ({ standing, words }) => {
    expect(textOf(find(schedules([schedule({ standing })]), "#schedule-S1"))).toContain(words);
  });

  it("runs and pauses by verbs of their own", () => {
    const root = schedules([schedule()]);
    expect(findControl(root, "Run now: 0 3 * * 1-5").getAttribute("formaction")).toBe(
      "/hosts/H1/schedules/S1/run",
    );
    expect(findControl(root, "Pause: 0 3 * * 1-5").getAttribute("formaction")).toBe(
      "/hosts/H1/schedules/S1/pause",
    );
  });

  it("asks before a paused one is run", () => {
    const root = schedules([schedule({ standing: { state: "paused", since: PAGE_NOW } })]);
    const run = findControl(root, "Run now: 0 3 * * 1-5");
    expect(run.tagName).toBe("A");
    expect(run.getAttribute("href")).toBe("/hosts/H1/schedules/S1/run");
    expect(findControl(root, "Resume: 0 3 * * 1-5").getAttribute("formaction")).toBe(
      "/hosts/H1/schedules/S1/resume",
    );
  });

  it("says what to do when there is none, and offers a viewer nothing to change", () => {
    const empty = schedules([]);
    expect(textOf(empty)).toContain("backed up by hand only");
    expect(findControl(empty, "New schedule").getAttribute("href")).toBe("/hosts/H1/schedules/new");
    expect(schedules([schedule()], "viewer").querySelectorAll("button, form, a.btn")).toHaveLength(0);
  });
});
