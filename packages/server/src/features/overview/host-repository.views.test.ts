/** The repository tab: what it shows of a repository in every state, to whom, and what it offers. */
import { find, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import type { LastRun, LockView, RepositoryView } from "../maintenance/maintenance.ts";
import { renderHostPage } from "./host.views.tsx";
import type { RepositoryTabProps } from "./host-repository.views.tsx";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const today = Math.floor(PAGE_NOW / dayMs) * dayMs;

const run = (overrides: Partial<LastRun> = {}): LastRun => ({
  ...{
    jobId: "J1",
    hostId: "H1",
    status: "succeeded",
    finishedAt: PAGE_NOW - hourMs,
    result: null,
    error: null,
  },
  readData: null,
  ...overrides,
});

const view: RepositoryView = {
  host: { id: "H1", name: "web-01" },
  repository: {
    ...{ id: "R1", location: "rest:https://backup.example.com/web-01/", createdAt: 0, foreignId: null },
    ...{ resticId: "6f1b2c9a".repeat(8), rawBytes: 1024 ** 3, uncompressedBytes: 3 * 1024 ** 3 },
    ...{ snapshotCount: 1204, statsAt: PAGE_NOW },
  },
  locks: [],
  sharers: [{ id: "H1", name: "web-01", isOnline: true, isOwner: true, isAdminSet: true }],
  maintenance: {
    ...{ repositoryId: "R1", ownerHostId: null, timeZone: "UTC", version: 1, updatedAt: 0 },
    ...{ forgetCron: "0 3 * * *", pruneCron: "0 4 * * 0", checkCron: null },
    ...{ verifyCron: "0 6 * * 6", verifyFiles: 100, verifyBytes: 256 * 1024 ** 2 },
    ...{ checkPercent: null, checkSlices: 43, maxRemovedPercent: 50 },
  },
  cadences: [
    { operation: "forget", nextAt: PAGE_NOW + hourMs, lastFire: null, lastRun: run() },
    {
      ...{ operation: "prune", nextAt: PAGE_NOW + dayMs, lastFire: null },
      lastRun: run({ result: { kind: "prune", freed_bytes: 1024 ** 2 } }),
    },
    { operation: "check", nextAt: null, lastFire: null, lastRun: null },
    { operation: "verify", nextAt: PAGE_NOW + dayMs, lastFire: null, lastRun: run() },
  ],
  coverage: { since: null, slicesRead: 12, slicesOf: 43, nextSlice: 13 },
  credentials: null,
  adminCredentials: {
    ...{ location: "rest:https://backup.example.com/web-01/", restUsername: "admin", passwordSet: true },
    ...{ restPasswordSet: true, updatedAt: 0, version: 1, kind: "rest", environment: {}, secretsSet: [] },
    ...{ caCertificate: null, options: {} },
  },
  isAdminRefused: false,
};

const tab: RepositoryTabProps = {
  access: {
    ...{ location: view.repository.location, restUsername: "web-01", passwordSet: true },
    ...{ restPasswordSet: false, updatedAt: 0, version: 1, kind: "rest", environment: {}, secretsSet: [] },
    ...{ caCertificate: null, options: {} },
  },
  ...{ agentTooOld: false, view, history: [], span: 30, tags: [], rotation: null },
};

function render(
  overrides: Partial<RepositoryTabProps> = {},
  role: "admin" | "viewer" = "admin",
  online = true,
) {
  const page = renderHostPage(viewPage({ user: { name: "x", role } }), {
    host: {
      ...{
        id: "H1",
        name: "web-01",
        condition: "ok",
        os: "linux",
        arch: "amd64",
        tags: [],
        rotation: null,
        mode: "always-on",
      },
      ...{ online, lastSeenAt: 0, sync: null, agentVersion: null, resticVersion: null, clockSkewMs: 0 },
      ...{ problems: [], createdAt: 0, behind: { agent: null, restic: null, updatable: true } },
    },
    vitals: {
      lastBackup: null,
      protectedBytes: null,
      snapshotCount: 1,
      newestSnapshotAt: null,
      nextRun: null,
    },
    activeJob: null,
    drill: null,
    sourceGroups: [],
    tab: { name: "repository", ...tab, ...overrides },
  });
  return parseHtml(page);
}
const wordsOf = (selector: string, overrides: Partial<RepositoryTabProps> = {}) =>
  textOf(find(render(overrides), selector));

describe("a repository in figures", () => {
  it("says size, compression, snapshots, and how it was looked after", () => {
    const words = wordsOf("#repository-figures");
    expect(words).toContain("1.00 GiB");
    expect(words).toContain("3.0 times what is stored");
    expect(words).toContain("1,204");
    expect(words).toContain("1.00 MiB freed");
    expect(words).toContain("12 of 43 parts read so far.");
  });

  it("shows its credentials as set or not, and no secret", () => {
    const words = textOf(find(render(), "main"));
    expect(words).toContain("User’s passwordnot set");
    expect(words).toContain("Encryption passwordset");
    expect(find(render(), "#field-admin_rest_password").getAttribute("value")).toBe("");
  });

  it("counts the snapshots of each tag, and those without any", () => {
    const tags = [
      { tag: "etc", count: 2, newestAt: PAGE_NOW - hourMs },
      { tag: null, count: 1, newestAt: PAGE_NOW - dayMs },
    ];
    expect(wordsOf("#repository-tags", { tags })).toContain("etc2 snapshots, newest 1h ago");
    expect(wordsOf("#repository-tags", { tags })).toContain("without a tag1 snapshot");
  });

  it("has nothing but the form before there are credentials", () => {
    const root = render({ view: null });
    expect(root.querySelector("#repository-figures")).toBeNull();
    expect(find(root, 'form[action="/hosts/H1/repository"]')).toBeTruthy();
  });

  it("has no form and no verb for a viewer", () => {
    expect(render({}, "viewer").querySelectorAll(".aside-main form")).toHaveLength(0);
  });
});

describe("the history", () => {
  const day = (daysAgo: number, rawBytes: number | null) => ({
    ...{ at: today - daysAgo * dayMs, rawBytes, snapshotCount: 7 },
  });

  it("says what to wait for when there is none", () => {
    const root = render();
    expect(root.querySelector("svg.chart")).toBeNull();
    expect(textOf(find(root, "#repository-history"))).toContain("Nothing was told in the last 30 days");
  });

  it("has a value for each day on hover and in a table, the newest first", () => {
    const root = render({ history: [day(2, 1024), day(1, null), day(0, 2048)] });
    const titles = root.querySelectorAll(".chart-plot title").map(textOf);
    expect(titles).toHaveLength(3);
    expect(titles[0]).toContain("1.00 KiB, 7 snapshots");
    const rows = root.querySelectorAll(".chart-values tbody tr").map(textOf);
    expect(rows[0]).toContain("2.00 KiB");
    expect(rows[1]).toContain("not told");
    expect(textOf(find(root, "#repository-history"))).toContain("grew by 1.00 KiB");
  });

  it("keeps its range in the URL, and no style or script in the page", () => {
    const root = render({ history: [day(0, 1)], span: 90 });
    const spans = root.querySelectorAll(".spans a");
    expect(spans.map((link) => link.getAttribute("href"))).toEqual([
      "/hosts/H1?tab=repository#repository-history",
      "/hosts/H1?tab=repository&days=90#repository-history",
      "/hosts/H1?tab=repository&days=365#repository-history",
    ]);
    expect(find(root, '.spans [aria-current="true"]').text).toBe("90d");
    expect(root.querySelector(".chart-plot [style], .chart-plot style, .chart-plot script")).toBeNull();
  });

  it("of a year stays below 120 KB", () => {
    const history = Array.from({ length: 365 }, (_, index) => day(364 - index, index * 1e9));
    expect(find(render({ history, span: 365 }), "#repository-history").toString().length).toBeLessThan(
      120_000,
    );
  });
});

describe("maintenance", () => {
  it("says when each runs and how it went, or that it is off", () => {
    expect(wordsOf("#cadence-forget")).toContain("At 03:00next in 1hsucceeded1h ago");
    expect(wordsOf("#cadence-check")).toContain("offby hand onlynever run");
    expect(wordsOf("#cadence-check")).toContain("reads one of 43 parts in turn");
  });

  it("says why a planned time was skipped", () => {
    const cadences = view.cadences.map((cadence) => ({
      ...cadence,
      ...{ lastRun: null, lastFire: { plannedAt: PAGE_NOW - hourMs, outcome: "offline" as const } },
    }));
    expect(wordsOf("#cadence-prune", { view: { ...view, cadences } })).toContain(
      "skipped 1h agothe host was offline",
    );
  });

  it("can't prune without admin credentials, and says what is missing", () => {
    const without = { view: { ...view, adminCredentials: null } };
    expect(find(render(without), "#cadence-prune button").hasAttribute("disabled")).toBe(true);
    expect(wordsOf("#cadence-prune", without)).toContain("needs admin credentials");
    expect(find(render(), 'form[action="/hosts/H1/prune"] button').hasAttribute("disabled")).toBe(false);
  });

  it("starts nothing on a host that is away", () => {
    const buttons = render({}, "admin", false).querySelectorAll("#repository-maintenance button");
    expect(buttons.length).toBe(4);
    expect(buttons.every((button) => button.hasAttribute("disabled"))).toBe(true);
  });

  it("offers to check the part whose turn it is, and names who prunes when the repository is shared", () => {
    expect(wordsOf("#cadence-check select")).toContain("Part 13 of 43");
    const other = { id: "H2", name: "head", isOnline: true, isOwner: true, isAdminSet: true };
    const sharers = [...view.sharers.map((sharer) => ({ ...sharer, isOwner: false })), other];
    const root = render({ view: { ...view, sharers } });
    expect(textOf(find(root, "#repository-maintenance"))).toContain("head prunes and checks for all");
    expect(find(root, "#repository-sharers a").getAttribute("href")).toBe("/hosts/H2?tab=repository");
  });
});

describe("what went wrong", () => {
  const checkedAs = (check: LastRun) => ({
    view: {
      ...view,
      cadences: view.cadences.map((cadence) =>
        cadence.operation === "check" ? { ...cadence, lastRun: check } : cadence,
      ),
    },
  });

  it("offers a repair when the last check asks for it only", () => {
    expect(render().querySelector("#repository-repair")).toBeNull();
    const figures = { kind: "check", error_count: 0, broken_packs: 0, suggest_prune: false } as const;
    const stale = render(checkedAs(run({ result: { ...figures, suggest_repair_index: true } })));
    expect(stale.querySelectorAll("#repository-repair form")).toHaveLength(1);
    const damaged = render(
      checkedAs(run({ status: "failed", error: { code: "restic.repository_damaged", message: "" } })),
    );
    expect(damaged.querySelectorAll("#repository-repair form")).toHaveLength(2);
  });

  it("stops every verb while another repository answers, and wants the host's name to accept it", () => {
    const swapped = { view: { ...view, repository: { ...view.repository, foreignId: "c0ffee00" } } };
    const root = render(swapped);
    expect(textOf(find(root, "#repository-swapped"))).toContain("It was 6f1b2c9a and is now c0ffee00.");
    expect(find(root, "#repository-swapped [name=accept_confirm_name]")).toBeTruthy();
    const buttons = root.querySelectorAll("#repository-maintenance button");
    expect(buttons.every((button) => button.hasAttribute("disabled"))).toBe(true);
  });

  const lock = (overrides: Partial<LockView> = {}): LockView => ({
    ...{ id: "L1", hostname: "web-01.internal", username: "root", pid: 4821, exclusive: true },
    ...{ createdAt: PAGE_NOW - 26 * hourMs, alive: false, host: { id: "H1", name: "web-01" }, ours: true },
    ...{ job: { id: "J7", kind: "prune" }, jobAlive: false },
    ...overrides,
  });

  it("shows a lock left behind with its holder, and removes all of them only for the typed name", () => {
    const root = render({ view: { ...view, locks: [lock()] } });
    const words = textOf(find(root, "#repository-locks"));
    expect(words).toContain("root@web-01.internal");
    expect(words).toContain("pid 4821, exclusive, 26h ago");
    expect(words).toContain("its process is gone");
    expect(find(root, '#repository-locks a[href="/jobs/J7"]')).toBeTruthy();
    const all = find(root, "#repository-locks details");
    expect(all.hasAttribute("open")).toBe(false);
    expect(all.querySelector("[name=unlock_confirm_name]")).not.toBeNull();
  });

  it("says nothing of a lock whose job still runs", () => {
    const held = lock({ alive: true, jobAlive: true });
    expect(render({ view: { ...view, locks: [held] } }).querySelector("#repository-locks")).toBeNull();
  });

  it("shows a refused name again beside its error, in its own form", () => {
    const message = "That is not the host's name.";
    const root = render({
      view: { ...view, locks: [lock()] },
      unlockForm: { values: { unlock_confirm_name: "web" }, errors: { unlock_confirm_name: message } },
    });
    expect(find(root, "#field-unlock_confirm_name").getAttribute("value")).toBe("web");
    expect(textOf(find(root, "#field-unlock_confirm_name-error"))).toBe(message);
    expect(find(root, "#repository-locks details").hasAttribute("open")).toBe(true);
  });
});

describe("the restore drill of a repository", () => {
  const cadenceOf = (lastRun: LastRun | null, outcome?: "nothing" | "offline") => {
    const lastFire = outcome === undefined ? null : { plannedAt: PAGE_NOW - hourMs, outcome };
    const cadences = [{ operation: "verify" as const, nextAt: PAGE_NOW + dayMs, lastFire, lastRun }];
    return wordsOf("#cadence-verify", { view: { ...view, cadences } });
  };

  it("says how much it restores, when, and what it found", () => {
    const words = cadenceOf(run());
    expect(words).toContain("restores up to 100 files, 256.0 MiB");
    expect(words).toContain("proven");
    const wrong = { code: "verify.mismatch", message: "x" };
    expect(cadenceOf(run({ status: "failed", error: wrong }))).toContain("files are wrong");
    expect(cadenceOf(run({ status: "warning" }))).toContain("nothing proven");
  });

  it("has its own reason when there was nothing to do", () => {
    expect(cadenceOf(null, "nothing")).toContain("no group has a snapshot");
    expect(cadenceOf(null, "offline")).toContain("the host was offline");
  });
});
