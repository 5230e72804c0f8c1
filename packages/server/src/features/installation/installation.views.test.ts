/** Settings → Server as its readers see it. */
import { find, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import type { InstallationView, ReplicaView } from "./installation.ts";
import { renderServerPage } from "./installation.views.tsx";

const replica = (id: string, more: Partial<ReplicaView> = {}): ReplicaView => ({
  ...{
    id,
    url: `http://10.0.0.${id}:8080`,
    version: "0.2.0",
    startedAt: PAGE_NOW - 60_000,
    seenAt: PAGE_NOW,
  },
  ...{ isAlive: true, isLeader: false, isThis: false, agents: 7 },
  ...more,
});
const render = (replicas: ReplicaView[], more: Partial<InstallationView> = {}) =>
  parseHtml(
    renderServerPage(viewPage(), {
      ...{ version: "0.2.0", jobLogDays: 90, downloads: true, replicas },
      database: { engine: "PostgreSQL", version: "15.18", sizeBytes: 3 * 1024 ** 3 },
      ...more,
    }),
  );
const rows = (root: ReturnType<typeof render>) => root.querySelectorAll("#replicas tbody tr").map(textOf);

describe("Settings → Server", () => {
  it("names the database and what is kept", () => {
    const text = textOf(find(render([replica("1")]), "#installation"));
    expect(text).toContain("PostgreSQL 15.18 · 3.00 GiB");
    expect(text).toContain("kept for 90 days");
  });

  it("of one server speaks of no replicas", () => {
    const root = render([replica("1", { isThis: true, isLeader: true })]);
    expect(textOf(find(root, "#replicas h2"))).toBe("Server");
    expect(rows(root)).toHaveLength(1);
    expect(rows(root)[0]).not.toContain("leader");
  });

  it("shows which replica answered, which one leads, and which one is lost", () => {
    const root = render([
      replica("1", { isThis: true }),
      replica("2", { isLeader: true, agents: 3341 }),
      replica("3", { isAlive: false }),
    ]);
    const [first = "", second = "", third = ""] = rows(root);
    expect(first).toContain("answered this page");
    expect(second).toMatch(/leader.*3,341/);
    expect(third).toMatch(/^lost/);
    expect(root.querySelector(".notice")).toBeNull();
  });

  it("warns of versions that differ among those that run, and of none that is gone", () => {
    const older = { version: "0.1.0" };
    const mixed = render([replica("1"), replica("2", older)]);
    expect(textOf(find(mixed, ".notice"))).toContain("different versions");
    expect(
      render([replica("1"), replica("2", { ...older, isAlive: false })]).querySelector(".notice"),
    ).toBeNull();
  });
});
