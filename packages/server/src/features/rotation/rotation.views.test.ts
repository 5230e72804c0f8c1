/** The page of a rotation in each of its states. */
import { find, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import { type RotationPageProps, renderRotationFragment, renderRotationPage } from "./rotation.views.tsx";
import type { AccessView, RotationHost, RotationView } from "./rotation-view.ts";

const idle = { jobId: null, problem: null, retryAt: null };
const access = (overrides: Partial<AccessView> = {}): AccessView => ({
  ...{ slot: "everyday", step: "verified", ...idle },
  ...overrides,
});
const host = (name: string, overrides: Partial<RotationHost> = {}): RotationHost => ({
  ...{ id: name, name, isOnline: true, lastSeenAt: PAGE_NOW, accesses: [access()] },
  ...overrides,
});
type Rotation = NonNullable<RotationView["rotation"]>;
const rotation = (overrides: Partial<Rotation> = {}): Rotation => ({
  ...{ state: "switching", startedBy: "anna", startedAt: PAGE_NOW, changedAt: PAGE_NOW, endedAt: null },
  ...{ ...idle, keys: [] },
  ...overrides,
});
const view = (overrides: Partial<RotationView> = {}): RotationView => ({
  ...{ host: { id: "H1", name: "web-01" }, location: "/srv/restic", hosts: [host("web-01")], rotation: null },
  ...overrides,
});

const render = (props: RotationPageProps, role: "operator" | "viewer" = "operator") =>
  parseHtml(renderRotationPage(viewPage({ user: { name: "x", role } }), props));
const hostLine = (hosts: RotationHost[], about: Partial<Rotation> = {}) =>
  textOf(find(render({ view: view({ hosts, rotation: rotation(about) }) }), "#rotation-hosts li"));

describe("before a rotation", () => {
  it("says that the master key stays, what happens, and who is offline", () => {
    const hosts = [host("web-01"), host("web-02", { isOnline: false, lastSeenAt: PAGE_NOW - 3_600_000 })];
    const root = render({ view: view({ hosts }) });
    expect(textOf(root)).toContain("the master key stays");
    expect(textOf(root)).toContain("offline, seen 1h ago");
    expect(textOf(find(root, "#rotation-start"))).toContain(
      "1 host is offline: the old keys stay until it is back",
    );
  });

  it("has no form for a viewer", () => {
    expect(render({ view: view() }, "viewer").querySelector("#rotation form")).toBeNull();
  });
});

describe("while it runs", () => {
  it.each<[string, Partial<RotationHost>, string]>([
    [
      "away",
      { isOnline: false, lastSeenAt: PAGE_NOW - 3_600_000, accesses: [access({ step: "adopt" })] },
      "seen 1h ago",
    ],
    ["trying", { accesses: [access({ step: "adopt", jobId: "J1" })] }, "trying the new password"],
    ["switched", { accesses: [access({ step: "verify", jobId: "J1" })] }, "switched, proving it"],
    ["there", { accesses: [access()] }, "uses the new password"],
    ["new", { accesses: [] }, "joins in a moment"],
    [
      "with two accesses",
      { accesses: [access(), access({ slot: "admin", step: "adopt" })] },
      "Admin credentials: next",
    ],
  ])("says what a host that is %s does", (_, overrides, words) => {
    expect(hostLine([host("web-01", overrides)])).toContain(words);
  });

  it("keeps itself fresh until its end", () => {
    const running = view({ rotation: rotation() });
    expect(find(render({ view: running }), "#rotation").getAttribute("data-live-src")).toBe(
      "/fragments/hosts/H1/rotation",
    );
    const over = view({ rotation: rotation({ state: "done", endedAt: PAGE_NOW }) });
    expect(renderRotationFragment(viewPage(), { view: over })).toContain("data-live-end");
    expect(find(render({ view: over }), "#rotation").getAttribute("data-live-src")).toBeUndefined();
  });

  it("offers to try again where a person is needed, and says when it goes on by itself", () => {
    const problem = { code: "restic.unreachable", message: "The storage cannot be reached." };
    const stuck = [host("web-01", { accesses: [access({ step: "adopt", problem })] })];
    const root = render({ view: view({ hosts: stuck, rotation: rotation() }) });
    expect(find(root, "#rotation-problem form").getAttribute("action")).toBe("/hosts/H1/rotation/retry");
    const passing = access({ step: "adopt", problem, retryAt: PAGE_NOW + 60_000 });
    expect(hostLine([host("web-01", { accesses: [passing] })])).toMatch(/cannot be reached\. Tried again in/);
  });

  it("asks for a confirmation once all are switched, and offers no stop while keys go", () => {
    const ready = view({ rotation: rotation({ state: "ready" }) });
    expect(find(render({ view: ready }), "#rotation-confirm input[name=confirmed]")).toBeDefined();
    expect(render({ view: ready }, "viewer").querySelector("#rotation-confirm form")).toBeNull();
    const removing = view({ rotation: rotation({ state: "removing", jobId: "J1" }) });
    expect(render({ view: removing }).toString()).not.toContain("/rotation/stop");
  });

  it("shows a password that we made once, escaped as it is, and keys with their users as text", () => {
    const key = {
      id: "a".repeat(64),
      role: "other",
      username: "<b>",
      hostname: "h",
      createdAt: null,
      removedAt: null,
    } as const;
    const props = { view: view({ rotation: rotation({ keys: [key] }) }), mintedPassword: "a<b>&c" };
    const root = render(props);
    expect(find(root, "#minted-password").text).toBe("a<b>&c");
    expect(find(root, "#rotation-keys").querySelector("b")).toBeNull();
    expect(renderRotationFragment(viewPage(), props)).not.toContain("a&lt;b");
  });
});
