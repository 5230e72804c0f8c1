/** Settings → Agents as its readers see it. */
import { find, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import type { UpdateRun } from "./update-run.ts";
import type { AgentsView, ProgramView, RunView, TargetView } from "./update-view.ts";
import { renderAgentsFragment, renderAgentsPage } from "./updates.views.tsx";

const program = (more: Partial<ProgramView> = {}): ProgramView => ({
  ...{ program: "agent", served: "0.2.0", versions: [], behind: 0, byHand: 0 },
  ...{ onWindows: 0, unusable: 0, unserved: [] },
  ...more,
});
const view = (more: Partial<AgentsView> = {}): AgentsView => ({
  ...{ release: { kind: "none", dataFolder: "/data/release" }, programs: [program()], run: null },
  ...more,
});
const render = (of: AgentsView, role: "admin" | "operator" | "viewer" = "admin") =>
  parseHtml(
    renderAgentsPage(viewPage({ user: { name: "x", role } }), { view: of, server: "https://rm.example.org" }),
  );

const target = (name: string, more: Partial<TargetView> = {}): TargetView => ({
  ...{ id: name, name, state: "waiting", wave: null, isOnline: true, lastSeenAt: PAGE_NOW - 5000 },
  ...{ jobId: null, jobStatus: null, fromVersion: "0.1.0", problem: null },
  ...more,
});
function runView(run: Partial<UpdateRun>, targets: TargetView[]): RunView {
  const count = (state: TargetView["state"]) => targets.filter((one) => one.state === state).length;
  return {
    run: {
      ...{ id: "R1", state: "running", program: "agent", version: "0.2.0", tag: null, pause: null },
      ...{ actor: { kind: "user", id: "U1", name: "anna" }, startedAt: PAGE_NOW, changedAt: PAGE_NOW },
      ...{ endedAt: null },
      ...run,
    },
    counts: {
      ...{ waiting: count("waiting"), updating: count("updating"), done: count("done") },
      ...{ failed: count("failed"), skipped: count("skipped") },
    },
    ...{ wave: 2, targets },
  };
}

describe("Settings → Agents", () => {
  it("without files says where to put them", () => {
    expect(textOf(find(render(view()), "#release-files"))).toContain("/data/release");
  });

  it("says which systems of the fleet the files for hosts have nothing for", () => {
    const unserved = [
      { system: "freebsd/x64", count: 1 },
      { system: "linux/arm", count: 2 },
    ];
    const root = render(view({ programs: [program(), program({ program: "restic", unserved })] }));
    expect(textOf(find(root, "#program-restic"))).toContain(
      "The files for hosts hold no restic for freebsd/x64 (1 host), linux/arm (2 hosts)",
    );
    expect(textOf(find(root, "#program-agent"))).not.toContain("hold no");
  });

  it("offers an administrator to update those that can be, and nobody while an update is under way", () => {
    const programs = [
      program({ behind: 7, byHand: 2, versions: [{ version: "0.1.0", count: 7, drift: "behind" }] }),
    ];
    const button = (root: ReturnType<typeof render>) => root.querySelector("#program-agent form button");
    expect(textOf(find(render(view({ programs })), "#program-agent form button"))).toBe("Update 5 hosts");
    expect(button(render(view({ programs }), "operator"))).toBeNull();
    expect(button(render(view({ programs, run: runView({}, [target("a")]) })))).toBeNull();
    const over = runView({ state: "done", endedAt: PAGE_NOW }, [target("a", { state: "done" })]);
    expect(button(render(view({ programs, run: over })))).not.toBeNull();
  });

  it("says of Windows hosts that an update would take, and only of those, that it was never tried there", () => {
    const panel = (onWindows: number) =>
      textOf(find(render(view({ programs: [program({ behind: 3, onWindows })] })), "#program-agent"));
    expect(panel(2)).toContain("2 hosts among them on Windows: updates were never tried on a real Windows.");
    expect(panel(0)).not.toContain("Windows");
  });

  it("shows of an update how far it is and what each host waits for", () => {
    const targets = [
      target("a", { state: "updating", jobId: "J1", jobStatus: "running" }),
      target("b", { isOnline: false, lastSeenAt: null }),
      target("c"),
      target("d", { state: "done" }),
      target("e", { state: "skipped", problem: { code: "agent.too_old", message: "Too old." } }),
    ];
    const root = render(view({ run: runView({}, targets) }));
    const words = root.querySelectorAll(".update-hosts small").map(textOf);
    expect(words).toEqual([
      ...["updating", "offline, taken when it connects", "waits for its wave"],
      ...["updated from 0.1.0", "by hand: Too old."],
    ]);
    expect(textOf(find(root, "#run-done"))).toContain("1 of 4 hosts");
    expect(find(root, '.update-hosts a[href="/jobs/J1"]')).toBeTruthy();
    expect(root.querySelectorAll("#update-run form").map((form) => form.getAttribute("action"))).toEqual([
      "/settings/agents/updates/R1/pause",
      "/settings/agents/updates/R1/cancel",
    ]);
    expect(
      render(view({ run: runView({}, targets) }), "operator").querySelectorAll("#update-run form"),
    ).toHaveLength(0);
  });

  it("says of a pause where and why, as text, whatever the host is called", () => {
    const pause = {
      hostId: "h",
      hostName: "<b>web</b>",
      code: "update.rolled_back",
      message: "<i>No</i> hello.",
    };
    const failed = target("<b>web</b>", { id: "h", state: "failed", jobId: "J9", problem: pause });
    const root = render(view({ run: runView({ state: "paused", pause }, [failed]) }));
    const notice = find(root, "#update-pause");
    expect(textOf(notice)).toContain("<b>web</b>: <i>No</i> hello.");
    expect(notice.querySelector("i i, b")).toBeNull();
    expect(find(notice, 'a[href="/hosts/h"]')).toBeTruthy();
    expect(find(root, 'form[action$="/resume"]')).toBeTruthy();
  });

  it("counts the hosts of a run that it does not show", () => {
    const targets = Array.from({ length: 60 }, (_, index) => target(`n${index}`));
    const run = runView({}, targets);
    const counts = { ...run.counts, waiting: run.counts.waiting + 940 };
    const fragment = renderAgentsFragment(viewPage({ user: { name: "x", role: "admin" } }), {
      ...{ view: view({ run: { ...run, counts } }), server: "" },
    });
    const root = parseHtml(fragment);
    expect(root.querySelectorAll(".update-hosts li")).toHaveLength(60);
    expect(textOf(find(root, "#update-run"))).toContain("940 more hosts");
    expect(fragment.length).toBeLessThan(60_000);
  });
});
