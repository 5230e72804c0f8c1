/** The page of a schedule, and what its form makes of text. */
import { find, findControl, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import { previewCron, renderCronPreview } from "./cron-preview.views.tsx";
import { renderRunPausedPage } from "./run-paused.views.tsx";
import { minutesOf, newSchedule, secondsOf } from "./schedule-form.ts";
import { renderSchedulePage, type SchedulePageProps } from "./schedule-form.views.tsx";

const values = { ...newSchedule, time_zone: "Europe/Berlin" };
const props = (overrides: Partial<SchedulePageProps> = {}): SchedulePageProps => ({
  host: { id: "H1", name: "web-01", online: true },
  schedule: { id: "S1", cron: "0 3 * * *", version: 2, paused: false },
  values,
  chosenGroupIds: ["G2"],
  seen: "",
  groups: [
    { id: "G1", name: "databases", includes: ["/srv"] },
    { id: "G2", name: "www", includes: ["/var/www"] },
  ],
  preview: previewCron("0 3 * * *", "Europe/Berlin", PAGE_NOW),
  conflicts: [],
  ...overrides,
});
const render = (overrides: Partial<SchedulePageProps> = {}, role: "admin" | "viewer" = "admin") =>
  parseHtml(renderSchedulePage(viewPage({ user: { name: "x", role } }), props(overrides)));

describe("the page of a schedule", () => {
  it("posts to its own address with its version, and offers five common expressions", () => {
    const root = render();
    const form = find(root, 'form[action="/hosts/H1/schedules/S1"]');
    expect(find(form, 'input[name="version"]').getAttribute("value")).toBe("2");
    expect(root.querySelectorAll("button[data-cron]").map((chip) => chip.getAttribute("data-cron"))).toEqual([
      "0 * * * *",
      "0 3 * * *",
      "0 3 * * 1-5",
      "0 3 * * 0",
      "0 3 1 * *",
    ]);
    expect(find(root, "button[data-cron][aria-pressed=true]").text).toBe("Daily 03:00");
    expect(root.querySelectorAll("datalist option").length).toBeGreaterThan(300);
  });

  it("offers the groups as boxes, those that were chosen checked", () => {
    const boxes = render().querySelectorAll('input[name="source_group_ids"]');
    expect(boxes.map((box) => [box.getAttribute("value"), box.hasAttribute("checked")])).toEqual([
      ["G1", false],
      ["G2", true],
    ]);
  });

  it("shows what was typed again, the box both ways, with each error beside its field", () => {
    const root = render({
      values: { cron: "0 25 * *", time_zone: "Mars/Base", jitter_minutes: "x", enabled: "" },
      chosenGroupIds: [],
      errors: { cron: "Five fields.", source_group_ids: "Choose at least one source group." },
    });
    expect(find(root, '[name="cron"]').getAttribute("value")).toBe("0 25 * *");
    expect(textOf(find(root, "#field-cron-error"))).toBe("Five fields.");
    expect(textOf(find(root, "#field-source_group_ids-error"))).toBe("Choose at least one source group.");
    expect(find(root, '[name="enabled"]').hasAttribute("checked")).toBe(false);
    expect(root.querySelectorAll("input[name=source_group_ids][checked]")).toHaveLength(0);
    expect(find(render(), '[name="enabled"]').hasAttribute("checked")).toBe(true);
  });

  it("says what somebody else changed, and offers to save anyway", () => {
    const root = render({ changes: ["It is paused now."] });
    expect(textOf(find(root, "#edit-conflict"))).toContain("It is paused now.");
    expect(findControl(root, "Drop mine, load theirs").getAttribute("href")).toBe("/hosts/H1/schedules/S1");
    expect(findControl(root, "Save anyway")).toBeDefined();
  });

  it("runs, pauses and deletes; a paused one is asked about first", () => {
    const root = render();
    expect(findControl(root, "Run now").getAttribute("formaction")).toBe("/hosts/H1/schedules/S1/run");
    expect(findControl(root, "Delete schedule")).toBeDefined();
    const paused = render({ schedule: { id: "S1", cron: "0 3 * * *", version: 2, paused: true } });
    expect(findControl(paused, "Run now…").getAttribute("href")).toBe("/hosts/H1/schedules/S1/run");
    expect(findControl(paused, "Resume")).toBeDefined();
  });

  it("sends to the groups when there is none, and lets a viewer read only", () => {
    expect(findControl(render({ groups: [] }), "New group").getAttribute("href")).toBe(
      "/hosts/H1/sources/new",
    );
    const root = render({}, "viewer");
    expect(find(root, "fieldset.plain").hasAttribute("disabled")).toBe(true);
    expect(root.querySelectorAll('main button[type="submit"]')).toHaveLength(0);
  });
});

describe("the next runs", () => {
  const fragment = (cron: string, zone: string) =>
    parseHtml(renderCronPreview(viewPage(), previewCron(cron, zone, PAGE_NOW)));

  it("are five, in the zone with its offset, in UTC as title", () => {
    const times = fragment(" 0  3 * * * ", "Europe/Berlin").querySelectorAll("li");
    expect(times).toHaveLength(5);
    expect(textOf(times[0] ?? find(fragment("", ""), "li"))).toBe("Tue 24 Nov 2026, 03:00 +01:00in 21h");
    expect(times[0]?.querySelector("span")?.getAttribute("title")).toBe("2026-11-24 02:00:00 UTC");
  });

  it.each([
    { cron: "0 3 * *", zone: "UTC", words: "five fields" },
    { cron: "0 25 * * *", zone: "UTC", words: "out of its range" },
    { cron: "0 0 31 2 *", zone: "UTC", words: "This never happens" },
    { cron: "0 3 * * *", zone: "Mars/Base", words: "no time zone “Mars/Base”" },
    { cron: "<script>", zone: "UTC", words: "five fields" },
  ])("of “$cron” in $zone are a sentence about what is wrong", ({ cron, zone, words }) => {
    const root = fragment(cron, zone);
    expect(textOf(find(root, ".cron-problem"))).toContain(words);
    expect(root.querySelector("script")).toBeNull();
  });
});

describe("the question before a paused schedule is run", () => {
  it("says what will run, and that it stays paused", () => {
    const root = parseHtml(
      renderRunPausedPage(viewPage(), {
        host: { id: "H1", name: "web-01", online: true },
        schedule: { id: "S1", cron: "0 3 * * *", pausedAt: PAGE_NOW },
        groups: ["databases", "www"],
      }),
    );
    expect(textOf(find(root, "main"))).toContain("leaves it paused: one backup each of databases, www");
    expect(find(root, 'form[action="/hosts/H1/schedules/S1/run"] input[name="confirmed"]')).toBeDefined();
  });
});

describe("a spread", () => {
  it.each([
    { seconds: 0, minutes: "0" },
    { seconds: 90, minutes: "1.5" },
    { seconds: 900, minutes: "15" },
    { seconds: 100, minutes: "1.667" },
  ])("of $seconds seconds is $minutes minutes, and back", ({ seconds, minutes }) => {
    expect(minutesOf(seconds)).toBe(minutes);
    expect(secondsOf(minutes)).toBe(seconds);
  });

  it("is none when empty, and no number is none at all", () => {
    expect(secondsOf(" ")).toBe(0);
    expect(secondsOf("2,5")).toBe(150);
    for (const text of ["x", "-1", "1e3"]) expect(secondsOf(text)).toBeNaN();
  });
});
