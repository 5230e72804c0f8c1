/** The dashboard as its readers see it. */
import { find, findControl, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import type { HostRow } from "./host-table.views.tsx";
import { type DashboardProps, renderDashboardFragment, renderDashboardPage } from "./overview.views.tsx";
import { chartRange, sparkPath } from "./size-chart.ts";

const host = (overrides: Partial<HostRow> = {}): HostRow => ({
  id: "H1",
  name: "web-01",
  condition: "ok",
  os: "linux",
  arch: "amd64",
  outdated: null,
  tags: ["prod"],
  online: true,
  lastSeenAt: PAGE_NOW - 5000,
  lastBackup: { status: "succeeded", finishedAt: PAGE_NOW - 720_000 },
  activeJob: null,
  repositoryBytes: 1024 ** 3,
  trend: null,
  snapshotCount: 1204,
  nextRunAt: PAGE_NOW + 7_200_000,
  coveringScheduleId: "S1",
  ...overrides,
});

const props = (overrides: Partial<DashboardProps> = {}): DashboardProps => ({
  pending: [],
  figures: {
    total: 2,
    online: 1,
    attention: 1,
    running: 0,
    offline: 1,
    asleep: 0,
    nextRun: { hostId: "H1", hostName: "web-01", at: PAGE_NOW + 7_200_000 },
    attentionSummary: "1 offline",
    snapshotCount: 3303,
    newestSnapshotAt: PAGE_NOW - 720_000,
    protectedBytes: 4.78 * 1024 ** 4,
    repositoryCount: 2,
    behind: { agent: 0, restic: 0 },
    lastBackup: { hostId: "H1", hostName: "web-01", finishedAt: PAGE_NOW - 720_000, status: "succeeded" },
    drills: null,
  },
  hosts: [host()],
  page: { page: 1, pageSize: 50, total: 1 },
  filter: {},
  tags: ["prod", "db"],
  ...overrides,
});

const render = (overrides: Partial<DashboardProps> = {}, role: "admin" | "viewer" = "admin") =>
  parseHtml(renderDashboardPage(viewPage({ user: { name: "x", role } }), props(overrides)));

describe("the dashboard", () => {
  it("shows the fleet's figures", () => {
    const tiles = find(render(), "dl.tiles");
    expect(tiles.querySelectorAll(".figure").map(textOf)).toEqual([
      "1 / 2",
      "1",
      "12m ago",
      "in 2h",
      "3,303",
      "4.78 TiB",
    ]);
    expect(textOf(find(tiles, "#tile-attention .tile-note"))).toBe("1 offline");
  });

  it("links the whole row to the host and says every state in words", () => {
    const row = find(render(), "#host-H1");
    expect(find(row, "a.row-link").getAttribute("href")).toBe("/hosts/H1");
    expect(find(row, ".dot").getAttribute("aria-label")).toBe("healthy");
    expect(row.querySelectorAll("td").map(textOf)).toEqual([
      "web-01linux/amd64",
      "prod",
      "succeeded12m ago",
      "in 2h",
      "1.00 GiB",
      "1,204",
      "Run now",
    ]);
  });

  it("runs a host by a button of the one form that carries the token", () => {
    const root = render();
    const button = findControl(root, "Run now: web-01");
    expect(button.getAttribute("formaction")).toBe("/hosts/H1/schedules/S1/run");
    const form = find(root, `form#${button.getAttribute("form")}`);
    expect(form.getAttribute("method")).toBe("post");
    expect(find(form, 'input[name="csrf_token"]').getAttribute("value")).toBe("token-of-the-form");
  });

  it("asks which groups are meant when no single schedule runs them all", () => {
    const link = findControl(render({ hosts: [host({ coveringScheduleId: null })] }), "Run now: web-01");
    expect(link.getAttribute("href")).toBe("/hosts/H1?tab=sources");
    expect(textOf(link)).toBe("Run now…");
  });

  it("says when nothing is planned", () => {
    const figures = { ...props().figures, nextRun: null };
    const root = render({ figures, hosts: [host({ nextRunAt: null })] });
    expect(textOf(find(root, "#tile-next"))).toContain("nothing scheduled");
    expect(textOf(find(root, "#host-H1"))).toContain("not scheduled");
  });

  it("is calm about a host that is known to sleep", () => {
    const asleep = host({ condition: "asleep", online: false });
    const figures = { ...props().figures, asleep: 1 };
    const root = render({ hosts: [asleep], figures });
    const row = find(root, "#host-H1");
    expect(row.getAttribute("class")).toBeUndefined();
    expect(textOf(row)).toContain("asleepsucceeded 12m ago");
    expect(row.querySelector(".fail")).toBeNull();
    expect(textOf(find(root, "#tile-online"))).toContain("1 asleep");
    expect(findControl(root, "Run now: web-01").getAttribute("title")).toContain("Asleep");
  });

  it("offers the running job instead, with how far it is", () => {
    const running = host({
      condition: "running",
      activeJob: { id: "J1", status: "running", share: 0.634, at: PAGE_NOW - 240_000 },
    });
    const row = find(render({ hosts: [running] }), "#host-H1");
    expect(textOf(find(row, ".word"))).toBe("running 63%");
    expect(findControl(row, "Open job").getAttribute("href")).toBe("/jobs/J1");
  });

  it("does not offer to run what was never connected", () => {
    const fresh = host({
      condition: "waiting",
      os: null,
      arch: null,
      online: false,
      lastSeenAt: null,
      lastBackup: null,
    });
    expect(findControl(render({ hosts: [fresh] }), "Run now: web-01").hasAttribute("disabled")).toBe(true);
  });

  it("does not offer to run what is offline, and says why", () => {
    const root = render({ hosts: [host({ condition: "offline", online: false })] });
    const button = findControl(root, "Run now: web-01");
    expect(button.hasAttribute("disabled")).toBe(true);
    expect(button.getAttribute("title")).toBe("Offline: start its agent first.");
    expect(textOf(find(root, "#host-H1"))).toContain("offlinesucceeded 12m ago");
  });

  it("says of a waiting job that the one before it failed", () => {
    const queued = host({
      condition: "failed",
      lastBackup: { status: "failed", finishedAt: PAGE_NOW - 3_600_000 },
      activeJob: { id: "J1", status: "queued", share: null, at: PAGE_NOW - 240_000 },
    });
    expect(textOf(find(render({ hosts: [queued] }), "#host-H1"))).toContain("queued4m ago · last failed");
  });

  it("marks rows that need attention", () => {
    expect(find(render({ hosts: [host({ condition: "failed" })] }), "#host-H1").getAttribute("class")).toBe(
      "fail",
    );
    expect(find(render({ hosts: [host({ condition: "warning" })] }), "#host-H1").getAttribute("class")).toBe(
      "warn",
    );
  });

  it("offers nothing that changes things to a viewer", () => {
    const root = render({}, "viewer");
    expect(root.querySelectorAll('main button[type="submit"]')).toHaveLength(0);
    expect(root.querySelector('main a[href="/hosts/new"]')).toBeNull();
  });

  it("shows a hostile name as the text it is", () => {
    const name = '<script>alert("x")</script>';
    const root = render({ hosts: [host({ name, tags: ['"><img src=x onerror=y>'] })] });
    expect(textOf(find(root, "#host-H1 .row-link"))).toBe(name);
    expect(root.querySelectorAll("img, script:not([src])")).toHaveLength(0);
  });
});

describe("search, filters and order", () => {
  const filter = { search: "we&b", tag: "db", state: "attention", sort: "size", direction: "asc" } as const;

  it("are in the links, each keeping the others", () => {
    const root = render({ filter });
    expect(find(root, '.chip[aria-current="true"]').text).toContain("Attention");
    const size = root.querySelectorAll("a.sort").find((link) => textOf(link) === "Repository");
    expect(size?.getAttribute("href")).toBe(
      "/?search=we%26b&tag=db&state=attention&sort=size&direction=desc",
    );
    expect(find(root, "th[aria-sort]").getAttribute("aria-sort")).toBe("ascending");
  });

  it("are in the form, typed words kept", () => {
    const form = find(render({ filter }), "form[data-live-filter]");
    expect(find(form, 'input[type="search"]').getAttribute("value")).toBe("we&b");
    expect(find(form, "option[selected]").getAttribute("value")).toBe("db");
    expect(find(form, 'input[name="state"]').getAttribute("value")).toBe("attention");
  });

  it("say so when nothing matches, and lead back", () => {
    expect(findControl(render({ hosts: [], filter }), "Show all 2").getAttribute("href")).toBe("/");
  });
});

describe("an empty fleet", () => {
  it("says what to do next", () => {
    const figures = { ...props().figures, total: 0 };
    const root = render({ figures, hosts: [] });
    expect(findControl(root, "Add the first host").getAttribute("href")).toBe("/hosts/new");
    expect(root.querySelectorAll("ol.steps li")).toHaveLength(3);
  });
});

/** Thirty days, none on the level of the one before. */
const thirty = Array.from({ length: 30 }, (_, day) => day);
const longestTrend = sparkPath(
  {
    days: thirty.map((day) => Math.floor(PAGE_NOW / 86_400_000) - 29 + day),
    rawBytes: thirty.map((day) => (day * 7) % 31),
  },
  chartRange(30, PAGE_NOW),
);

describe("a thousand hosts", () => {
  it("fit into one page of less than 1.2 MB", () => {
    const hosts = Array.from({ length: 1000 }, (_, index) =>
      host({ id: `H${index}`, name: `host-${index}`, trend: longestTrend }),
    );
    const html = renderDashboardFragment(viewPage(), props({ hosts }));
    expect(parseHtml(html).querySelectorAll("tbody tr")).toHaveLength(1000);
    expect(parseHtml(html).querySelectorAll(".spark")).toHaveLength(1000);
    expect(html.length).toBeLessThan(1_200_000);
  });
});

describe("the line about restore drills", () => {
  const withDrills = (drills: DashboardProps["figures"]["drills"]) =>
    render({ figures: { ...props().figures, drills } }).querySelector("#fleet-drills");

  it("says on how many hosts a restore is proven, and when last", () => {
    const line = withDrills({ provenHosts: 1, lastProvenAt: PAGE_NOW - 3_600_000, late: [] });
    expect(line && textOf(line)).toBe("Restore proven on 1 of 2 hosts, last 1h ago");
  });

  it("names the hosts where a planned proof is late, as text", () => {
    const late = ["a", "b", "<script>", "d", "e"].map((name) => ({ id: name, name }));
    const line = withDrills({ provenHosts: 0, lastProvenAt: null, late });
    expect(line && textOf(line)).toContain("late on a, b, <script> and 2 more");
  });

  it("is not there where nobody drills", () => {
    expect(withDrills(null)).toBeNull();
  });
});

describe("hosts that are behind what is served", () => {
  const behind = { agent: 3, restic: 1 };

  it("are counted in a line that leads to them, and to the updates", () => {
    const line = find(render({ figures: { ...props().figures, behind } }), "#fleet-behind");
    expect(textOf(line)).toContain("3 agents behind");
    expect(textOf(line)).toContain("restic behind on 1 host");
    const links = line.querySelectorAll("a").map((link) => link.getAttribute("href"));
    expect(links).toEqual(["/?agent=behind", "/?restic=behind", "/settings/agents"]);
    expect(render().querySelector("#fleet-behind")).toBeNull();
  });

  it("say so in their row, and the filter can be taken off again", () => {
    const outdated = { words: "agent behind", versions: "agent 0.1.0" };
    const filter = { agent: "behind" as const, tag: "prod" };
    const root = render({ hosts: [host({ outdated })], filter, figures: { ...props().figures, behind } });
    expect(textOf(find(root, "#host-H1"))).toContain("agent behind");
    expect(find(root, '#host-chips a[href="/?tag=prod"][aria-current]')).toBeTruthy();
    expect(root.querySelector('input[name="agent"]')?.getAttribute("value")).toBe("behind");
  });
});
