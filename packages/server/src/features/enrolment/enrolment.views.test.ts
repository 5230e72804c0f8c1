/** Add host: the form, its result, and the panel that turns green. */
import { find, findControl, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import {
  type AddHostResultProps,
  type EnrolmentStatusProps,
  renderAddHostPage,
  renderAddHostResultPage,
  renderEnrolmentStatus,
} from "./enrolment.views.tsx";

const status = (overrides: Partial<EnrolmentStatusProps> = {}): EnrolmentStatusProps => ({
  tokenId: "T1",
  hostname: "web-02",
  expiresAt: PAGE_NOW + 3_552_000,
  state: "waiting",
  host: null,
  ...overrides,
});

const result = (overrides: Partial<AddHostResultProps> = {}): AddHostResultProps => ({
  status: status(),
  token: "T0ken",
  installCommand: "curl … RM_TOKEN='a\"b<c' sh",
  windowsCommand: "irm … | iex",
  enrolCommand: "RM_TOKEN=T0ken restic-manager-agent enrol",
  mintedPassword: "kR7v-pX2q",
  htpasswdCommand: null,
  repositoryUrl: "/srv/restic",
  tags: ["prod"],
  initialPaths: ["/etc"],
  ...overrides,
});

describe("the form", () => {
  it("keeps everything typed except passwords, each error beside its field, the cursor in the first", () => {
    const form = {
      values: { hostname: "web 02", initial_paths: "/etc\nhome", repo_password: "hunter2" },
      errors: { initial_paths: "“home” is not an absolute path.", repo_url: "Missing." },
    };
    const root = parseHtml(renderAddHostPage(viewPage(), { form }));
    expect(find(root, "#field-hostname").getAttribute("value")).toBe("web 02");
    expect(find(root, "textarea").text).toBe("/etc\nhome");
    expect(textOf(find(root, "#field-initial_paths-error"))).toBe("“home” is not an absolute path.");
    expect(root.querySelectorAll("[autofocus]").map((field) => field.id)).toEqual(["field-initial_paths"]);
    expect(root.toString()).not.toContain("hunter2");
  });
});

describe("the result", () => {
  it("shows the command as it is and lets it be copied", () => {
    const root = parseHtml(renderAddHostResultPage(viewPage(), result()));
    expect(find(root, "#install-command").text).toBe("curl … RM_TOKEN='a\"b<c' sh");
    expect(findControl(root, "Copy install command").getAttribute("data-copy")).toBe("install-command");
  });

  it("offers for each system what the server has an installer for", () => {
    const kinds = (overrides: Partial<AddHostResultProps>) =>
      parseHtml(renderAddHostResultPage(viewPage(), result(overrides)))
        .querySelectorAll("input[name=kind]")
        .map((field) => field.getAttribute("value"));
    expect(kinds({})).toEqual(["sh", "ps1"]);
    expect(kinds({ windowsCommand: null })).toEqual(["sh"]);
    expect(kinds({ installCommand: null })).toEqual(["ps1"]);
    expect(kinds({ installCommand: null, windowsCommand: null })).toEqual([]);
  });

  it("downloads beside the page, which can't be made again, and carries the token in the form only", () => {
    const root = parseHtml(renderAddHostResultPage(viewPage(), result()));
    const form = find(root, "form[action=/hosts/new/T1/installer]");
    expect(form.getAttribute("target")).toBe("_blank");
    expect(find(form, "input[name=token]").getAttribute("value")).toBe("T0ken");
    expect(root.querySelectorAll("a[href*=T0ken], form[action*=T0ken]")).toEqual([]);
  });

  it("shows how to enrol an agent that is there already when the server has no installer", () => {
    const none = result({ installCommand: null, windowsCommand: null });
    const root = parseHtml(renderAddHostResultPage(viewPage(), none));
    expect(textOf(root)).toContain("This server has no installer to hand out.");
    expect(find(root, "#install-command").text).toBe("RM_TOKEN=T0ken restic-manager-agent enrol");
  });

  it("shows a minted password, and nothing of one it did not make", () => {
    expect(find(parseHtml(renderAddHostResultPage(viewPage(), result())), "#minted-password").text).toBe(
      "kR7v-pX2q",
    );
    const without = parseHtml(renderAddHostResultPage(viewPage(), result({ mintedPassword: null })));
    expect(without.querySelector("#minted-password")).toBeNull();
  });

  it("watches the token", () => {
    const live = find(parseHtml(renderAddHostResultPage(viewPage(), result())), "#enrolment");
    expect(live.getAttribute("data-live-src")).toBe("/hosts/new/T1/status");
  });
});

describe("the status", () => {
  const render = (overrides: Partial<EnrolmentStatusProps>) =>
    parseHtml(renderEnrolmentStatus(viewPage(), status(overrides)));

  it("waits with the time that is left, and goes on being asked", () => {
    const root = render({});
    expect(textOf(find(root, "[data-countdown]"))).toBe("59m 12s");
    expect(root.querySelector("[data-live-end]")).toBeNull();
  });

  it("turns green, leads to the host, and rests", () => {
    const host = { id: "H2", agentVersion: "0.1.0", resticVersion: null, lastSeenAt: PAGE_NOW - 1000 };
    const root = render({ state: "online", host });
    expect(find(root, "#enrolment-status").getAttribute("class")).toContain("ok");
    expect(textOf(root)).toContain("restic not found");
    expect(findControl(root, "Open host").getAttribute("href")).toBe("/hosts/H2");
    expect(find(root, "[data-live-end]").id).toBe("enrolment-status");
  });

  it("says that the token expired and offers another", () => {
    const root = render({ state: "expired", expiresAt: PAGE_NOW - 60_000 });
    expect(textOf(root)).toContain("The token expired unused");
    expect(findControl(root, "Make a new one").getAttribute("href")).toBe("/hosts/new");
  });
});
