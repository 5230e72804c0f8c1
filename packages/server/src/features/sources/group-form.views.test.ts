/** The page of a source group. */
import { find, findControl, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import { groupValues } from "./group-form.ts";
import { type GroupPageProps, renderGroupPage } from "./group-form.views.tsx";
import { hookValues } from "./hook-form.ts";

const values = {
  ...groupValues(null, hookValues(null)),
  name: "databases",
  includes: "/srv/a\n/srv/b",
  keep_daily: "7",
  keep_weekly: "4",
};

const props = (overrides: Partial<GroupPageProps> = {}): GroupPageProps => ({
  host: { id: "H1", name: "web-01", online: true, windows: false, hooksAllowed: true },
  group: { id: "G1", name: "databases", version: 4 },
  values,
  seen: "name:abcdefgh",
  conflicts: [],
  usedBy: [],
  isLast: false,
  otherHosts: [{ id: "H2", name: "web-02", online: true }],
  ...overrides,
});

const render = (overrides: Partial<GroupPageProps> = {}, role: "admin" | "viewer" = "admin") =>
  parseHtml(renderGroupPage(viewPage({ user: { name: "x", role } }), props(overrides)));
const field = (root: ReturnType<typeof render>, name: string) => find(root, `[name="${name}"]`);

describe("the page of a source group", () => {
  it("is titled by the host, then the group, and posts to its own address with its version", () => {
    const root = render();
    expect(textOf(find(root, "title"))).toBe("web-01 · databases — restic-manager");
    const form = find(root, 'form[action="/hosts/H1/sources/G1"]');
    expect(find(form, 'input[name="version"]').getAttribute("value")).toBe("4");
    expect(find(form, 'input[name="seen"]').getAttribute("value")).toBe("name:abcdefgh");
    expect(field(root, "includes").text).toBe("/srv/a\n/srv/b");
  });

  it("says in words what is kept, and that nothing is forgotten without a rule", () => {
    expect(textOf(find(render(), "#keep-sentence"))).toBe("Keeps the last 7 daily and 4 weekly snapshots.");
    const none = { ...values, keep_daily: "", keep_weekly: "" };
    expect(textOf(find(render({ values: none }), "#keep-sentence"))).toBe(
      "Kept for ever; nothing is forgotten.",
    );
  });

  it("shows what was typed again, boxes both ways, with each error beside its field", () => {
    const typed = {
      ...values,
      includes: "home/x",
      one_file_system: "on",
      exclude_caches: "",
      keep_daily: "seven",
    };
    const root = render({
      values: typed,
      errors: { includes: "Not absolute.", keep_daily: "A whole number." },
      message: "Nothing was saved. See below.",
    });
    expect(field(root, "includes").text).toBe("home/x");
    expect(textOf(find(root, "#field-includes-error"))).toBe("Not absolute.");
    expect(field(root, "keep_daily").getAttribute("value")).toBe("seven");
    expect(field(root, "one_file_system").hasAttribute("checked")).toBe(true);
    expect(field(root, "exclude_caches").hasAttribute("checked")).toBe(false);
    expect(root.querySelectorAll('input[type="hidden"][name="one_file_system"]')).toHaveLength(0);
    expect(find(root, "details.more-options").hasAttribute("open")).toBe(true);
  });

  it("names what somebody else changed and how it is now, and offers to save anyway", () => {
    const root = render({
      changes: [
        { field: "includes", now: "/srv/z" },
        { field: "excludes", now: "" },
        { field: "pre_hook", now: null },
      ],
    });
    const words = textOf(find(root, "#edit-conflict"));
    expect(words).toContain("Paths/srv/zLeft outnow emptyBefore the backupchanged");
    expect(field(root, "includes").text).toBe("/srv/a\n/srv/b");
    expect(findControl(root, "Save anyway").getAttribute("type")).toBe("submit");
    expect(findControl(root, "Drop mine, load theirs").getAttribute("href")).toBe("/hosts/H1/sources/G1");
  });

  it("warns of what is kept finer than it is run", () => {
    expect(textOf(find(render({ conflicts: ["It keeps hourly ones."] }), ".notice.warn"))).toContain(
      "It keeps hourly ones.",
    );
  });

  it("says that hooks run as root, or as SYSTEM, and when the host refuses them", () => {
    expect(textOf(render())).toContain("Hooks run as root by /bin/sh");
    const host = { ...props().host, windows: true, hooksAllowed: false };
    expect(textOf(render({ host }))).toContain("Hooks run as SYSTEM by cmd.exe /C");
    expect(textOf(render({ host }))).toContain("This host refuses hooks");
  });

  it("offers the host's folders while its agent is connected, and says so otherwise", () => {
    const browse = find(render(), "[data-browse]");
    expect(browse.getAttribute("data-browse")).toBe("/api/hosts/H1/files");
    expect(find(browse, "button").hasAttribute("disabled")).toBe(false);
    const away = find(render({ host: { ...props().host, online: false } }), "[data-browse]");
    expect(find(away, "button").hasAttribute("disabled")).toBe(true);
    expect(textOf(away)).toContain("while its agent is connected");
  });

  it.each<{ name: string; overrides: Partial<GroupPageProps>; reason: string }>([
    {
      name: "is in use",
      overrides: { usedBy: [{ scheduleId: "S1", cron: "0 3 * * *", words: "At 03:00" }] },
      reason: "In use by 1 schedule",
    },
    { name: "is the last", overrides: { isLast: true }, reason: "The last group of a host stays" },
  ])("can't be deleted while it $name, and says why", ({ overrides, reason }) => {
    const root = render(overrides);
    expect(findControl(root, "Delete group").hasAttribute("disabled")).toBe(true);
    expect(textOf(find(root, ".panel.danger"))).toContain(reason);
  });

  it("can be deleted, run and copied", () => {
    const root = render();
    expect(findControl(root, "Delete group").hasAttribute("disabled")).toBe(false);
    expect(find(root, 'form[action="/hosts/H1/sources/G1/run"] button')).toBeDefined();
    const option = find(root, 'form[action="/hosts/H1/sources/G1/clone"] option');
    expect(option.getAttribute("value")).toBe("web-02");
  });

  it("shows a viewer everything but scripts, and nothing to press", () => {
    const secret = { ...values, pre_hook: "set" };
    const root = render({ values: secret }, "viewer");
    expect(find(root, "fieldset.plain").hasAttribute("disabled")).toBe(true);
    expect(root.querySelectorAll('main button[type="submit"]')).toHaveLength(0);
    expect(root.querySelector('[name="pre_hook"]')).toBeNull();
    expect(textOf(root)).toContain("BeforesetAfternone");
  });
});

describe("a new source group", () => {
  it("begins empty, with nothing to copy or delete", () => {
    const root = render({ group: null });
    expect(find(root, 'form[action="/hosts/H1/sources/new"]')).toBeDefined();
    expect(root.querySelector('[name="version"]')).toBeNull();
    expect(root.querySelector(".panel.danger")).toBeNull();
    expect(findControl(root, "Create group")).toBeDefined();
  });
});
