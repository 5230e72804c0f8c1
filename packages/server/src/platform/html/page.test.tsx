/** @jsxImportSource preact */
/** The frame of every page, and the parts they share. */
import { find, findControl, parseHtml, textOf, viewPage } from "@restic-manager/testkit";
import type { ComponentChildren } from "preact";
import { describe, expect, it } from "vitest";
import { assetUrl } from "./assets.ts";
import { renderErrorPage } from "./error-pages.tsx";
import { Field } from "./forms.tsx";
import { renderFragment, renderPage } from "./page.tsx";
import { Pagination, ProgressBar, urlWith } from "./parts.tsx";
import { Time } from "./values.tsx";

describe("a page", () => {
  const html = renderPage(viewPage(), { title: "web-01 · Jobs", nav: "jobs", content: <h1>Jobs</h1> });
  const root = parseHtml(html);

  it("is a whole document whose title names the object first", () => {
    expect(html.startsWith("<!doctype html><html")).toBe(true);
    expect(textOf(find(root, "title"))).toBe("web-01 · Jobs — restic-manager");
  });

  it("marks the section it belongs to, and only that", () => {
    expect(root.querySelectorAll('nav[aria-label="Main"] a[aria-current="page"]').map(textOf)).toEqual([
      "Jobs",
    ]);
  });

  it("links only to sections that exist", () => {
    const links = root.querySelectorAll('nav[aria-label="Main"] a').map((link) => link.getAttribute("href"));
    expect(links).toEqual(["/", "/jobs", "/audit", "/settings/account"]);
  });

  it("carries the theme, so that nothing flashes, and the present choice in the switch", () => {
    expect(find(root, "html").getAttribute("data-theme")).toBe("dark");
    expect(find(root, 'button[name="theme"][aria-pressed="true"]').getAttribute("value")).toBe("dark");
  });

  it("puts the form token into the theme switch and returns to where the reader was", () => {
    const form = find(root, 'form[action="/preferences/theme"]');
    expect(find(form, 'input[name="csrf_token"]').getAttribute("value")).toBe("token-of-the-form");
    expect(find(form, 'input[name="return_to"]').getAttribute("value")).toBe("/here");
  });

  it("has no rail for a reader who is not signed in", () => {
    const bare = parseHtml(
      renderPage(viewPage({ user: undefined }), { title: "Sign in", content: <h1>Hi</h1> }),
    );
    expect(bare.querySelector('nav[aria-label="Main"]')).toBeNull();
    expect(bare.querySelectorAll("main")).toHaveLength(1);
  });

  it("refuses to be made without its styles", () => {
    expect(() => assetUrl({}, "styles.css")).toThrow(/styles\.css/);
  });
});

describe("an error page", () => {
  it("says what happened, the code and the request id", () => {
    const props = { status: 404, code: "hosts.not_found", message: "No host <b>x</b>.", requestId: "req-1" };
    const root = parseHtml(renderErrorPage(viewPage(), props));
    expect(textOf(find(root, "h1"))).toBe("There is nothing at this address");
    expect(textOf(find(root, ".error-message"))).toBe("No host <b>x</b>.");
    expect(root.querySelectorAll("main dd").map(textOf)).toEqual(["hosts.not_found", "req-1"]);
  });

  it("explains a refused form by what happened, not by the reader's role", () => {
    const props = { status: 403, code: "request.form_expired", message: "Old.", requestId: "req-1" };
    const root = parseHtml(renderErrorPage(viewPage(), props));
    expect(textOf(find(root, "h1"))).toBe("This form was too old to be sent");
    expect(textOf(root)).not.toContain("administrator");
  });

  it("sends a reader who is not signed in to the sign-in page", () => {
    const root = parseHtml(
      renderErrorPage(viewPage({ user: undefined }), { status: 500, code: "internal", requestId: "r" }),
    );
    expect(findControl(root, "Sign in").getAttribute("href")).toBe("/login");
  });
});

describe("a field", () => {
  const render = (content: ComponentChildren) => parseHtml(renderFragment(viewPage(), content));

  it("ties its rule and its error to the input", () => {
    const root = render(
      <Field name="url" label="URL" hint="A rule." error="No scheme." value={'"><script>'} />,
    );
    const input = find(root, "input");
    expect(input.getAttribute("aria-describedby")).toBe("field-url-hint field-url-error");
    expect(input.getAttribute("aria-invalid")).toBe("true");
    expect(input.getAttribute("value")).toBe('"><script>');
    expect(textOf(find(root, "#field-url-error"))).toBe("No scheme.");
    expect(root.querySelector("script")).toBeNull();
  });

  it("never echoes a password", () => {
    expect(render(<Field name="p" label="P" type="password" value="hunter2" />).toString()).not.toContain(
      "hunter2",
    );
  });

  it("keeps the lines of a text area", () => {
    const area = find(
      render(<Field name="paths" label="Paths" rows={4} value={"/etc\n</textarea><b>"} />),
      "textarea",
    );
    expect(area.text).toBe("/etc\n</textarea><b>");
  });
});

describe("small parts", () => {
  const html = (content: ComponentChildren) => renderFragment(viewPage(), content);

  it("a time is relative with the absolute one as its title", () => {
    const time = find(parseHtml(html(<Time at={viewPage().now - 720_000} />)), "time");
    expect(textOf(time)).toBe("12m ago");
    expect(time.getAttribute("title")).toBe("2026-11-23 04:41:20 UTC");
  });

  it("a bar of unknown length has no value", () => {
    expect(
      find(parseHtml(html(<ProgressBar share={null} label="x" />)), "progress").hasAttribute("value"),
    ).toBe(false);
    expect(
      find(parseHtml(html(<ProgressBar share={0.5} label="x" />)), "progress").getAttribute("value"),
    ).toBe("0.5");
  });

  it("links to the pages there are", () => {
    const render = (page: number) =>
      parseHtml(
        html(
          <Pagination
            info={{ page, pageSize: 50, total: 120 }}
            noun="jobs"
            urlOf={(n) => urlWith("/jobs", { n })}
          />,
        ),
      );
    expect(
      render(1)
        .querySelectorAll("a")
        .map((link) => link.getAttribute("href")),
    ).toEqual(["/jobs?n=2"]);
    expect(textOf(render(3))).toContain("101–120 of 120 jobs");
    expect(html(<Pagination info={{ page: 1, pageSize: 50, total: 50 }} noun="jobs" urlOf={String} />)).toBe(
      "",
    );
  });
});
