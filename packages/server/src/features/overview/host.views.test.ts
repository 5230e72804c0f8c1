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
    online: true,
    lastSeenAt: PAGE_NOW - 7000,
    agentVersion: "0.1.0",
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
  },
  activeJob: null,
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
  url: "rest:https://backup.example.com/web-01/",
  username: "web-01",
  repositoryPasswordSet: true,
  restPasswordSet: false,
  updatedAt: null,
  ...overrides,
});

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
    ]);
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
  it("says which secrets are set and shows none", () => {
    const facts = find(render(repository()), ".pairs.wide");
    expect(textOf(facts)).toContain("User’s passwordnot set");
    expect(textOf(facts)).toContain("Encryption passwordset");
  });

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

  it("offers a check and says what it needs", () => {
    const root = render(repository());
    expect(textOf(find(root, 'form[action="/hosts/H1/check"] button'))).toBe("Check");
    expect(textOf(root)).toContain("It needs the repository alone");
    expect(render(repository(), "viewer").querySelector('form[action="/hosts/H1/check"]')).toBeNull();
  });

  it("has no form for a viewer", () => {
    expect(render(repository(), "viewer").querySelector('form[action="/hosts/H1/repository"]')).toBeNull();
  });
});

describe("the danger zone", () => {
  const danger: HostTab = {
    name: "settings",
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
