/** The card on /login and the account page. */
import { find, PAGE_NOW, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import { describe, expect, it } from "vitest";
import { renderAccountPage, renderFirstRunPage, renderSignInPage } from "./users.views.tsx";

const anonymous = viewPage({ user: undefined });

describe("the sign-in card", () => {
  it("asks for name and password and remembers where to go", () => {
    const form = find(parseHtml(renderSignInPage(anonymous, { returnTo: "/jobs" })), 'form[action="/login"]');
    expect(form.querySelectorAll("label").map(textOf)).toEqual(["Name", "Password"]);
    expect(find(form, 'input[name="return_to"]').getAttribute("value")).toBe("/jobs");
    expect(find(form, 'input[name="csrf_token"]').getAttribute("value")).toBe("token-of-the-form");
  });

  it("keeps the name after a refusal, tells it aloud, and puts the cursor into the password", () => {
    const form = { values: { username: "<b>", password: "hunter2" }, message: "Name or password is wrong." };
    const root = parseHtml(renderSignInPage(anonymous, { form }));
    expect(find(root, "#field-username").getAttribute("value")).toBe("<b>");
    expect(textOf(find(root, '[role="alert"]'))).toBe("Name or password is wrong.");
    expect(find(root, "#field-password").hasAttribute("autofocus")).toBe(true);
    expect(root.toString()).not.toContain("hunter2");
  });
});

describe("the first-run card", () => {
  it("shows the password's rule before anything is wrong", () => {
    const root = parseHtml(renderFirstRunPage(anonymous, { minPasswordLength: 12 }));
    expect(textOf(find(root, "#field-password-hint"))).toContain("At least 12 characters.");
    expect(root.querySelectorAll("form.stack label").map(textOf)).toEqual([
      "Setup token",
      "Name",
      "Password",
    ]);
  });

  it("keeps token and name beside the error of the password", () => {
    const form = { values: { token: "st_1", username: "oli" }, errors: { password: "Too short." } };
    const root = parseHtml(renderFirstRunPage(anonymous, { minPasswordLength: 12, form }));
    expect(find(root, "#field-token").getAttribute("value")).toBe("st_1");
    expect(find(root, "#field-username").getAttribute("value")).toBe("oli");
    expect(textOf(find(root, "#field-password-error"))).toBe("Too short.");
  });
});

describe("the account page", () => {
  it("changes the password and signs out, each by a post", () => {
    const root = parseHtml(
      renderAccountPage(viewPage(), { minPasswordLength: 12, apiTokens: { tokens: [] } }),
    );
    expect(find(root, 'form[action="/logout"]').getAttribute("method")).toBe("post");
    const form = find(root, 'form[action="/settings/account"]');
    expect(form.querySelectorAll("input[type=password]").map((input) => input.getAttribute("name"))).toEqual([
      "current_password",
      "new_password",
      "repeat_password",
    ]);
  });

  const tokens = [
    {
      id: "T1",
      name: "<b>ci",
      role: "operator" as const,
      createdAt: 1,
      expiresAt: PAGE_NOW - 1,
      lastUsedAt: 1,
    },
    { id: "T2", name: "report", role: "viewer" as const, createdAt: 1, expiresAt: null, lastUsedAt: null },
  ];

  it("lists API tokens with their ends and revokes each by a post of its own", () => {
    const root = parseHtml(renderAccountPage(viewPage(), { minPasswordLength: 12, apiTokens: { tokens } }));
    const rows = find(root, "#api-tokens").querySelectorAll("tbody tr");
    expect(rows.map((row) => row.querySelectorAll("td").map(textOf))).toMatchObject([
      ["<b>ci", "operator", expect.any(String), "has ended", "Revoke"],
      ["report", "viewer", "–never used", "never", "Revoke"],
    ]);
    expect(find(root, 'form[action="/settings/account/tokens/T1/revoke"]').getAttribute("method")).toBe(
      "post",
    );
  });

  it("shows a new token once, to be copied, and offers no role above the reader's", () => {
    const apiTokens = { tokens, created: { name: "ci", token: "rmt_shown-once" } };
    const page = viewPage({ user: { name: "oli", role: "operator" } });
    const root = parseHtml(renderAccountPage(page, { minPasswordLength: 12, apiTokens }));
    expect(textOf(find(root, "#new-api-token"))).toBe("rmt_shown-once");
    expect(find(root, "#field-role").querySelectorAll("option").map(textOf)).toEqual(["operator", "viewer"]);
  });

  it("keeps what was typed for a token that was refused", () => {
    const form = {
      values: { name: "ci", role: "viewer", days: "7" },
      errors: { name: "You have it already." },
    };
    const root = parseHtml(
      renderAccountPage(viewPage(), { minPasswordLength: 12, apiTokens: { tokens, form } }),
    );
    expect(find(root, "#field-name").getAttribute("value")).toBe("ci");
    expect(textOf(find(root, "#field-name-error"))).toBe("You have it already.");
    expect(textOf(find(root, "#field-days option[selected]"))).toBe("after 7 days");
  });
});
