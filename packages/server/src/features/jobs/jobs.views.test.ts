/** The job page and the list of jobs. */
import { find, findControl, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import { type JobListProps, renderJobListPage } from "./job-list.views.tsx";
import { type JobPageProps, renderJobPage } from "./jobs.views.tsx";

const job = (overrides: Partial<JobPageProps> = {}): JobPageProps => ({
  id: "J1",
  kind: "backup",
  status: "running",
  waitsFor: null,
  host: { id: "H1", name: "web-01" },
  subject: "default",
  actor: { kind: "user", name: "operator" },
  createdAt: PAGE_NOW - 253_000,
  startedAt: PAGE_NOW - 252_000,
  finishedAt: null,
  cancelRequestedAt: null,
  progress: {
    share: 0.634,
    totalFiles: 1204,
    filesDone: 763,
    totalBytes: 10 * 1024 ** 3,
    bytesDone: 6 * 1024 ** 3,
    errorCount: 0,
    currentFiles: ["/etc/<b>passwd"],
    remainingMs: 146_000,
    bytesPerSecond: 1024 ** 2,
  },
  result: null,
  failure: null,
  repeatable: true,
  log: { lineCount: 0, preview: [] },
  ...overrides,
});

const render = (overrides: Partial<JobPageProps> = {}, role: "admin" | "viewer" = "admin") =>
  parseHtml(renderJobPage(viewPage({ user: { name: "x", role } }), job(overrides)));

describe("a running job", () => {
  const root = render();

  it("says how far it is, how fast, what is left and on which file", () => {
    const cells = ["percent", "bytes", "files", "rate", "left", "errors"].map((name) =>
      textOf(find(root, `#progress-${name}`)),
    );
    expect(cells).toEqual(["63%", "6.00 GiB of 10.0 GiB", "763 of 1,204", "1.00 MiB/s", "2m 26s", "0"]);
    expect(textOf(find(root, "#progress-current"))).toBe("/etc/<b>passwd");
    expect(find(root, "#progress-bar").getAttribute("value")).toBe("0.634");
  });

  it("can be cancelled, once", () => {
    expect(find(root, 'form[action="/jobs/J1/cancel"] button').hasAttribute("disabled")).toBe(false);
    const asked = find(render({ cancelRequestedAt: PAGE_NOW }), 'form[action="/jobs/J1/cancel"] button');
    expect(asked.hasAttribute("disabled")).toBe(true);
    expect(textOf(asked)).toBe("Cancelling…");
  });

  it("cannot be cancelled by a viewer", () => {
    expect(render({}, "viewer").querySelector("main form")).toBeNull();
  });

  it("shows an honest bar while the total is unknown", () => {
    const scanning = render({ progress: null });
    expect(find(scanning, "#progress-bar").hasAttribute("value")).toBe(false);
    expect(textOf(find(scanning, "#progress-percent"))).toBe("scanning");
  });

  it("names its stream and its downloads", () => {
    expect(find(root, "#log").getAttribute("data-log-src")).toBe("/api/jobs/J1/stream");
    expect(root.querySelectorAll("a[download]").map((link) => link.getAttribute("href"))).toEqual([
      "/api/jobs/J1/log.txt",
      "/api/jobs/J1/log.ndjson",
    ]);
  });
});

describe("a job that waits", () => {
  it("says for what", () => {
    const root = render({
      status: "queued",
      startedAt: null,
      progress: null,
      waitsFor: "another job on this host",
    });
    expect(textOf(find(root, "#job-progress"))).toContain("Waiting for another job on this host.");
    expect(root.querySelector("progress")).toBeNull();
  });
});

describe("a job that ended", () => {
  const failure = {
    what: "The repository is out of space.",
    why: "It answered 507.",
    advice: "Free space, then run again.",
    exitCode: 1,
    stderrTail: ["Fatal: <script>"],
  };

  it("says what happened, why and what to do, with restic's last words", () => {
    const root = render({ status: "failed", finishedAt: PAGE_NOW, failure });
    expect(textOf(find(root, "#job-failure strong"))).toBe("The repository is out of space.");
    expect(textOf(find(root, "#job-failure"))).toContain("It answered 507. Free space, then run again.");
    expect(textOf(find(root, "#job-failure pre"))).toBe("Fatal: <script>");
    expect(textOf(find(root, "h1 .pill"))).toBe("failed");
  });

  it("is a warning, neither success nor failure, when something was left out", () => {
    const root = render({ status: "warning", finishedAt: PAGE_NOW, failure });
    expect(find(root, "#job-failure .notice").getAttribute("class")).toBe("notice warn");
    expect(textOf(find(root, "h1 .pill"))).toBe("completed with warnings");
  });

  it("can be run again when its kind and host allow it", () => {
    const ended = { status: "succeeded" as const, finishedAt: PAGE_NOW };
    expect(findControl(render(ended), "Run again").tagName).toBe("BUTTON");
    expect(() => findControl(render({ ...ended, repeatable: false }), "Run again")).toThrow();
    expect(() => findControl(render({ ...ended, host: null }), "Run again")).toThrow();
  });

  it("shows the log's last lines to a reader without scripts, as text", () => {
    const preview = [{ number: 7, at: PAGE_NOW, level: "error" as const, text: "<img src=x>" }];
    const log = find(render({ log: { lineCount: 7, preview } }), "#log");
    expect(textOf(log)).toContain("6 earlier lines");
    expect(textOf(find(log, ".line.error .line-text"))).toBe("<img src=x>");
  });
});

describe("a log that was removed for its age", () => {
  it("is no empty log: the page says when it went and offers nothing to read", () => {
    const day = 86_400_000;
    const removed = { at: PAGE_NOW - 2 * day, afterMs: 90 * day + 5 };
    const root = render({ status: "succeeded", log: { lineCount: 0, preview: [], removed } });
    expect(textOf(find(root, "#log-panel"))).toContain("this one 2d ago, 90 days after the job ended");
    expect(root.querySelector("#log, a[download]")).toBeNull();
  });
});

describe("the list of jobs", () => {
  const list = (overrides: Partial<JobListProps> = {}) =>
    parseHtml(
      renderJobListPage(viewPage(), {
        jobs: [{ ...job(), share: 0.42, addedBytes: null }],
        page: { page: 1, pageSize: 50, total: 120 },
        filter: {},
        kinds: ["backup", "check"],
        ...overrides,
      }),
    );

  it("links each row to its job and says its state", () => {
    const row = find(list(), "#job-J1");
    expect(find(row, "a.row-link").getAttribute("href")).toBe("/jobs/J1");
    expect(textOf(find(row, ".state"))).toBe("running 42%");
  });

  it("keeps the filter on the next page", () => {
    const next = find(list({ filter: { status: "failed", kind: "backup" } }), 'a[rel="next"]');
    expect(next.getAttribute("href")).toBe("/jobs?status=failed&kind=backup&page=2");
  });

  it("tells an empty list from an empty answer", () => {
    const none = { jobs: [], page: { page: 1, pageSize: 50, total: 0 } };
    expect(textOf(find(list(none), ".empty-title"))).toBe("No job has run yet");
    expect(textOf(find(list({ ...none, filter: { status: "failed" } }), ".empty-title"))).toBe(
      "No job matches",
    );
  });
});

describe("what a job of maintenance did", () => {
  const facts = (root: ReturnType<typeof render>) => textOf(find(root, "#job-progress"));

  it("is told by group for a forget, with what kept a group from it", () => {
    const error = { code: "forget.too_many", message: "More than 50 % would go. <b>" };
    const root = render({
      ...{ kind: "forget", status: "warning", subject: null, progress: null },
      outcome: {
        kind: "forget",
        groups: [
          { source_group: "web", kept: 7, removed: 3, error: null },
          { source_group: "db", kept: 1200, removed: 0, error },
        ],
      },
    });
    const rows = root.querySelectorAll("#job-groups tbody tr").map((row) => textOf(row));
    expect(rows[0]).toMatch(/^web\s*7\s*3/);
    expect(rows[1]).toMatch(/^db\s*1,200\s*0\s*More than 50 % would go\. <b>/);
    expect(facts(root)).toMatch(/Kept\s*1,207/);
  });

  it.each<{ outcome: NonNullable<JobPageProps["outcome"]>; words: RegExp }>([
    { outcome: { kind: "prune", freed_bytes: 3 * 1024 ** 3 }, words: /Freed\s*3\.00 GiB/ },
    { outcome: { kind: "prune", freed_bytes: null }, words: /Freed\s*not told/ },
    { outcome: { kind: "unlock", removed: 2, remaining: 1 }, words: /Locks removed\s*2.*Locks left\s*1/s },
    {
      outcome: {
        ...{ kind: "check", error_count: 4, broken_packs: 1 },
        ...{ suggest_repair_index: true, suggest_prune: false },
      },
      words: /Errors\s*4.*Broken packs\s*1.*repair the index, then check again/s,
    },
  ])("is told in figures and words for $outcome.kind", ({ outcome, words }) => {
    const { kind } = outcome;
    expect(facts(render({ kind, status: "succeeded", subject: null, progress: null, outcome }))).toMatch(
      words,
    );
  });
});

describe("a restore", () => {
  const order = {
    ...{ paths: ["/etc/<b>x"], pathCount: 12, from: { id: "H2", name: "db-01" }, folder: null },
    ...{ overwrite: "if-newer" as const, dryRun: false },
  };
  const outcome = {
    ...{ kind: "restore" as const, dry_run: false, complete: false, in_place: true, target: null },
    ...{ restored: 1, restored_bytes: null, replaced: 1, skipped: 2, skipped_bytes: 4, failed: 60 },
    ...{ failed_items: [{ path: "/etc/<i>y", message: "permission denied" }], written: [] },
    ...{ ownership: "not_kept" as const, verified: false },
  };
  const restore = (overrides: Partial<JobPageProps>) =>
    render({ kind: "restore", subject: "9f86d081", order, ...overrides });

  it("says what was asked for", () => {
    const wish = textOf(find(restore({}), "#restore-wish"));
    expect(wish).toContain("Of db-01. In place: files that are older are replaced.");
    expect(wish).toContain("/etc/<b>x");
    expect(wish).toContain("and 11 more");
  });

  it("says in words what was written, what stayed, what failed and what to look at", () => {
    const summary = textOf(find(restore({ status: "warning", outcome }), "#restore-summary"));
    expect(summary).toContain(
      "1 file or folder was restored in place, 1 of them over what is there. 2 stay as before.",
    );
    expect(summary).toContain("60 items could not be restored.");
    expect(summary).toContain("It is not complete: a file may have its full size and holes in it.");
    expect(summary).toContain("Owners could not be kept");
    expect(summary).toContain("/etc/<i>y permission denied");
    expect(summary).toContain("and 59 more, in the log");
  });

  it("of a dry run says that nothing was written", () => {
    const dry = {
      ...outcome,
      dry_run: true,
      in_place: false,
      target: "/root/x",
      failed: 0,
      failed_items: [],
    };
    const summary = textOf(find(restore({ status: "succeeded", outcome: dry }), "#restore-summary"));
    expect(summary).toContain("would be restored into the folder");
    expect(summary).toContain("Nothing was written.");
  });

  it("that waits offers an operator, and nobody else, to cancel what is before it", () => {
    const blocker = { id: "J2", kind: "backup", cancelling: false };
    const waiting = {
      status: "queued" as const,
      startedAt: null,
      progress: null,
      waitsFor: "a backup",
      blocker,
    };
    const form = 'form[action="/jobs/J2/cancel?for=J1"]';
    expect(textOf(find(restore(waiting), `${form} button`))).toBe("Cancel that backup");
    const viewer = render({ kind: "restore", ...waiting }, "viewer");
    expect(viewer.querySelector(form)).toBeNull();
    expect(viewer.querySelector('a[href="/jobs/J2"]')).not.toBeNull();
    expect(
      find(restore({ ...waiting, blocker: { ...blocker, cancelling: true } }), `${form} button`).hasAttribute(
        "disabled",
      ),
    ).toBe(true);
  });
});
