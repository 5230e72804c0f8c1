/**
 * A view made into a whole document, or into a fragment that replaces a part of one. No inline script and
 * no inline style may appear anywhere below (the content security policy forbids both).
 */
import type { ComponentChildren, JSX } from "preact";
import { render } from "preact-render-to-string";
import { type AssetManifest, assetUrl } from "./assets.ts";
import { Notice } from "./parts.tsx";
import { type PageContext, PageProvider } from "./scope.ts";
import { type Crumb, type Section, Shell } from "./shell.tsx";
import type { Tone } from "./state.tsx";

/** What makes one page differ from the others. */
export interface PageView {
  /** The object first, e.g. `web-01 · Snapshots`. */
  title: string;
  nav?: Section;
  counts?: Partial<Record<Section, number>>;
  crumbs?: readonly Crumb[];
  /** One sentence about what just happened, e.g. after a redirect. */
  notice?: { tone: Tone; text: string } | undefined;
  /** Browser modules besides the common one, by asset name. */
  modules?: readonly string[];
  content: ComponentChildren;
}

/** The whole document as a string. A page without a user has no shell, only its content. */
export function renderPage(page: PageContext, view: PageView): string {
  const body =
    page.user === undefined ? (
      <main id="main" class="bare">
        {view.content}
      </main>
    ) : (
      <Shell nav={view.nav} counts={view.counts} crumbs={view.crumbs}>
        {view.notice ? (
          <Notice tone={view.notice.tone} live>
            {view.notice.text}
          </Notice>
        ) : null}
        {view.content}
      </Shell>
    );
  return `<!doctype html>${render(
    <PageProvider value={page}>
      <html lang="en" data-theme={page.theme} data-now={page.now}>
        <Head title={view.title} assets={page.assets} modules={view.modules ?? []} />
        <body>{body}</body>
      </html>
    </PageProvider>,
  )}`;
}

/** A part of a page as a string, for the live updates. */
export function renderFragment(page: PageContext, content: ComponentChildren): string {
  return render(<PageProvider value={page}>{content}</PageProvider>);
}

function Head(props: { title: string; assets: AssetManifest; modules: readonly string[] }): JSX.Element {
  const { assets } = props;
  return (
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="dark light" />
      <meta name="referrer" content="same-origin" />
      <title>{`${props.title} — restic-manager`}</title>
      <link rel="icon" type="image/svg+xml" href={assetUrl(assets, "favicon.svg")} />
      <link
        rel="preload"
        as="font"
        type="font/woff2"
        crossorigin="anonymous"
        href={assetUrl(assets, "inter.woff2")}
      />
      <link rel="stylesheet" href={assetUrl(assets, "styles.css")} />
      {["app.js", ...props.modules].map((name) => (
        <script key={name} type="module" src={assetUrl(assets, name)} />
      ))}
    </head>
  );
}
