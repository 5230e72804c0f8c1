/** A host's page: head, tabs, and the forms that change it. */
import { find, findControl, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import { type HostPageProps, type HostTab, renderHostPage } from "./host.views.tsx";

const props = (tab: HostTab): HostPageProps => ({
  host: {
    id: "H1",
    name: "web-01",
    condition: "ok",
    os: "linux",
    arch: "amd64",
    tags: ["prod"],
    mode: "always-on",
    online: true,
    lastSeenAt: PAGE_NOW - 7000,
    sync: { version: 7, applied: 7, late: false },
    agentVersion: "0.1.0",
    behind: { agent: null, restic: null, updatable: true },
    resticVersion: "0.18.1",
    clockSkewMs: 0,
    problems: [],
    createdAt: PAGE_NOW - 86_400_000 * 40,
  },
  vitals: {
    lastBackup: { status: "warning", finishedAt: PAGE_NOW - 60_000, jobId: "J9" },
    protectedBytes: null,
    snapshotCount: 96,
    newestSnapshotAt: null,
    nextRun: { at: PAGE_NOW + 7_200_000, cron: "0 7 * * *" },
  },
  activeJob: null,
  drill: null,
  sourceGroups: [{ id: "G1", name: "default" }],
  tab,
});

const snapshots: HostTab = {
  name: "snapshots",
  page: { page: 1, pageSize: 50, total: 1 },
  snapshots: [
    {
      id: "3c1f88e0aabbccdd",
      at: PAGE_NOW - 720_000,
      tags: ["default"],
      paths: ["/etc", "/home"],
      sizeBytes: 2048,
      fileCount: 1204,
      addedBytes: 1024,
    },
  ],
};

const repository = (overrides: Partial<Extract<HostTab, { name: "repository" }>> = {}): HostTab => ({
  name: "repository",
  access: {
    ...{ location: "rest:https://backup.example.com/web-01", restUsername: "web-01", passwordSet: true },
    ...{ restPasswordSet: false, updatedAt: 0, version: 1, kind: "rest", environment: {}, secretsSet: [] },
    ...{ caCertificate: null, options: {} },
  },
  agentTooOld: false,
  view: null,
  rotation: null,
  history: [],
  span: 30,
  tags: [],
  ...overrides,
});

const settings: Extract<HostTab, { name: "settings" }> = {
  name: "settings",
  loss: { jobCount: 1, snapshotCount: 1, sourceGroupCount: 1 },
  mode: "always-on",
  caps: { upload: "1024", download: "" },
  windows: false,
  hooksAllowed: true,
  hooks: {
    pre_hook: "mount /mnt/x",
    pre_hook_timeout_seconds: "600",
    post_hook: "",
    post_hook_timeout_seconds: "600",
  },
};

const render = (tab: HostTab, role: "admin" | "viewer" = "admin", overrides: Partial<HostPageProps> = {}) =>
  parseHtml(renderHostPage(viewPage({ user: { name: "x", role } }), { ...props(tab), ...overrides }));

describe("a host's page", () => {
  it("is titled by the host, then the tab", () => {
    expect(textOf(find(render(snapshots), "title"))).toBe("web-01 · Snapshots — restic-manager");
  });

  it("says in words how the host is", () => {
    expect(textOf(find(render(snapshots), ".head-line"))).toContain("healthylinux/amd64online, seen 7s ago");
  });

  it("lists snapshots with short ids, paths and sizes", () => {
    const row = find(render(snapshots), "#snapshot-rows tr");
    expect(row.querySelectorAll("td").map(textOf)).toEqual([
      "3c1f88e0",
      "12m ago",
      "default",
      "/etc +1",
      "2.00 KiB",
      "1,204",
      "1.00 KiB",
      "Restore",
    ]);
  });

  it("leads an operator, and nobody else, from the host and from each snapshot to getting files back", () => {
    const links = (role: "admin" | "viewer") =>
      render(snapshots, role)
        .querySelectorAll('a[href^="/hosts/H1/restore"]')
        .map((link) => link.getAttribute("href"))
        .sort();
    expect(links("admin")).toEqual(["/hosts/H1/restore", "/hosts/H1/restore?snapshot=3c1f88e0aabbccdd"]);
    expect(links("viewer")).toEqual([]);
  });

  it("says what to do when there is no snapshot", () => {
    const empty: HostTab = { ...snapshots, snapshots: [] };
    expect(textOf(find(render(empty), ".empty"))).toContain("No snapshot yet");
  });

  it("runs one group or all", () => {
    const root = render(snapshots);
    expect(find(root, 'form[action="/hosts/H1/sources/G1/run"] button').text).toBe("Run");
    expect(find(root, 'form[action="/hosts/H1/run"] button').text).toContain("Run now");
  });

  it("starts nothing on a host that is away, and says why", () => {
    const away = { ...props(snapshots).host, online: false };
    for (const tab of [snapshots, repository()]) {
      const root = render(tab, "admin", { host: away });
      const buttons = root.querySelectorAll('form[action^="/hosts/H1/"] button').filter((button) => {
        const action = button.closest("form")?.getAttribute("action") ?? "";
        return /\/(run|check)$/.test(action);
      });
      expect(buttons.length).toBeGreaterThan(1);
      for (const button of buttons) {
        expect(button.hasAttribute("disabled")).toBe(true);
        expect(button.getAttribute("title")).toBe("Offline: start its agent first.");
      }
    }
  });

  it("shows the running job instead of running another", () => {
    const activeJob = {
      id: "J1",
      kind: "backup",
      subject: "default",
      status: "running" as const,
      share: 0.5,
      at: PAGE_NOW,
    };
    const root = render(snapshots, "admin", { activeJob });
    expect(root.querySelector('form[action="/hosts/H1/run"]')).toBeNull();
    expect(find(root, "#host-now progress").getAttribute("value")).toBe("0.5");
  });

  it("refreshes what is read and leaves alone what is typed", () => {
    expect(find(render(snapshots), "#host-live").getAttribute("data-live-src")).toBe(
      "/fragments/hosts/H1?tab=snapshots",
    );
    expect(find(render(repository()), "#host-live").hasAttribute("data-live-src")).toBe(false);
  });
});

describe("the repository tab", () => {
  it("keeps what was typed beside its error, but no password", () => {
    const form = {
      values: { repo_url: "nonsense", repo_password: "hunter2" },
      errors: { repo_url: "No scheme." },
    };
    const root = render(repository({ form }));
    expect(find(root, "#field-repo_url").getAttribute("value")).toBe("nonsense");
    expect(textOf(find(root, "#field-repo_url-error"))).toBe("No scheme.");
    expect(root.toString()).not.toContain("hunter2");
  });

  it("has no form for a viewer", () => {
    expect(render(repository(), "viewer").querySelector('form[action="/hosts/H1/repository"]')).toBeNull();
  });
});

describe("the head of a host's page", () => {
  const head = (overrides: Partial<HostPageProps["host"]>) => {
    const root = render(snapshots, "admin", { host: { ...props(snapshots).host, ...overrides } });
    return find(root, ".head-line");
  };

  it("says whether the agent has the newest schedules", () => {
    expect(textOf(head({}))).toContain("always onschedules v7 · in sync");
    const behind = head({ sync: { version: 8, applied: 7, late: false } });
    expect(textOf(behind)).toContain("schedules v8 · agent at v7");
    expect(behind.querySelector(".warn")).toBeNull();
    expect(textOf(head({ sync: { version: 8, applied: null, late: false } }))).toContain("agent has none");
    expect(textOf(head({ sync: null }))).not.toContain("schedules");
  });

  it("warns when a connected agent stays behind, and says what to do", () => {
    const late = find(head({ sync: { version: 8, applied: 7, late: true } }), ".word.warn");
    expect(late.getAttribute("title")).toContain("Restart it");
  });

  it("says that a host comes and goes, and is calm while it sleeps", () => {
    const asleep = head({ mode: "intermittent", condition: "asleep", online: false });
    expect(textOf(asleep)).toContain("asleep");
    expect(textOf(asleep)).toContain("intermittent");
    expect(find(asleep, ".word").getAttribute("class")).toBe("word idle");
  });

  it("shows the next run", () => {
    expect(textOf(find(render(snapshots), "#host-vitals"))).toContain("Next runin 2h0 7 * * *");
  });
});

describe("the settings", () => {
  const fieldOf = (root: ReturnType<typeof render>, name: string) => find(root, `[name="${name}"]`);

  it("offer the two kinds of presence, the present one chosen", () => {
    const form = find(render({ ...settings, mode: "intermittent" }), 'form[action="/hosts/H1/mode"]');
    expect(form.querySelectorAll("input[checked]").map((radio) => radio.getAttribute("value"))).toEqual([
      "intermittent",
    ]);
    expect(form.querySelectorAll("input[type=radio]")).toHaveLength(2);
  });

  it("say the unit of the caps, keep what was typed and show what is wrong with it", () => {
    const capsForm = { values: { upload_kib: "fast" }, errors: { upload_kib: "A whole number." } };
    const root = render({ ...settings, capsForm });
    const form = find(root, 'form[action="/hosts/H1/bandwidth"]');
    expect(textOf(form)).toContain("KiB/s");
    expect(textOf(form)).toContain("1,024 KiB/s is 1 MiB a second");
    expect(fieldOf(root, "upload_kib").getAttribute("value")).toBe("fast");
    expect(textOf(find(root, "#field-upload_kib-error"))).toBe("A whole number.");
  });

  it("show the default hooks with their warning, and say when the host refuses them", () => {
    const root = render({ ...settings, hooksAllowed: false });
    expect(fieldOf(root, "pre_hook").text).toBe("mount /mnt/x");
    expect(textOf(root)).toContain("Hooks run as root");
    expect(textOf(root)).toContain("This host refuses hooks");
    expect(textOf(render(settings))).not.toContain("refuses hooks");
    expect(textOf(render({ ...settings, windows: true }))).toContain("Hooks run as SYSTEM by cmd.exe /C");
  });

  it("show a viewer no form and no script", () => {
    const root = render(settings, "viewer");
    expect(root.querySelectorAll('main form:not([action^="/preferences"])')).toHaveLength(0);
    expect(root.toString()).not.toContain("mount /mnt/x");
  });
});

describe("the danger zone", () => {
  const danger: HostTab = {
    ...settings,
    loss: { jobCount: 1204, snapshotCount: 1, sourceGroupCount: 2 },
  };

  it("says in numbers what is lost and what is kept", () => {
    const text = textOf(find(render(danger), ".loss"));
    expect(text).toContain("1,204 jobs with logs, 2 source groups");
    expect(text).toContain("1 snapshot in the repository");
  });

  it("asks for the name and keeps a mistyped one", () => {
    const form = { values: { confirm_name: "web-1" }, errors: { confirm_name: "Not the name." } };
    const root = render({ ...danger, form });
    expect(
      find(root, 'form[action="/hosts/H1/delete"] input[name="confirm_name"]').getAttribute("value"),
    ).toBe("web-1");
    expect(findControl(root, "Delete host").getAttribute("class")).toContain("danger");
  });
});

describe("the last proven restore", () => {
  const proven = {
    ...{ jobId: "J7", status: "succeeded" as const, finishedAt: PAGE_NOW - 5 * 86_400_000, error: null },
    ...{ sourceGroup: "default", figures: { files: 100, bytes: 2048, sourceFiles: 97 } },
  };
  const failed = { ...proven, jobId: "J8", status: "failed" as const, figures: null };
  const panel = (drill: HostPageProps["drill"], online = true) => {
    const page = props(snapshots);
    return parseHtml(
      renderHostPage(viewPage(), { ...page, host: { ...page.host, online }, drill }),
    ).querySelector("#host-drill");
  };

  it("is shown with what it restored, and leads to its job", () => {
    const root = panel({ proven, last: proven, planned: true, late: false });
    expect(root?.querySelector('a[href="/jobs/J7"]')?.text).toBe("5d ago");
    expect(root && textOf(root)).toContain("100 files, 2.00 KiB");
    expect(root && textOf(root)).not.toContain("Last try");
    expect(root?.querySelector("#host-drill-late")).toBeNull();
  });

  it("does not hide that the last drill found wrong files", () => {
    const last = { ...failed, error: { code: "verify.mismatch" } };
    const link = panel({ proven, last, planned: false, late: false })?.querySelector('a[href="/jobs/J8"]');
    expect(link?.text).toContain("files are wrong");
    expect(link?.classList.contains("fail")).toBe(true);
  });

  it("is said to be late only where drills are planned, and never to be late where there is none", () => {
    expect(
      panel({ proven, last: failed, planned: true, late: true })?.querySelector("#host-drill-late"),
    ).not.toBeNull();
    const never = panel({ proven: null, last: null, planned: false, late: false });
    expect(never && textOf(never)).toContain("never");
    expect(never?.querySelector('a[href="/hosts/H1/maintenance"]')).not.toBeNull();
  });

  it("is proven anew with one button, which is off on a host that is away", () => {
    const drill = { proven: null, last: null, planned: false, late: false };
    expect(
      panel(drill)?.querySelector('form[action="/hosts/H1/verify"] button')?.hasAttribute("disabled"),
    ).toBe(false);
    expect(panel(drill, false)?.querySelector("button")?.hasAttribute("disabled")).toBe(true);
  });

  it("is not asked of a host without a snapshot", () => {
    expect(panel(null)).toBeNull();
  });
});

describe("the newest restore", () => {
  const lastRestore = {
    ...{ jobId: "J5", status: "succeeded" as const, at: PAGE_NOW - 3_600_000, snapshotId: "9f86d081884c" },
    ...{ from: "db-01", inPlace: true, restored: 1 },
  };

  it("stands in one line that leads to its job", () => {
    const root = render(snapshots, "viewer", { lastRestore });
    expect(textOf(find(root, "#host-restore"))).toBe(
      "Last restore 1h ago: succeeded, 1 item of snapshot 9f86d081 of db-01 in place",
    );
    expect(root.querySelector('#host-restore a[href="/jobs/J5"]')).not.toBeNull();
  });

  it("is not spoken of when there is none", () => {
    expect(render(snapshots).querySelector("#host-restore")).toBeNull();
  });
});
