/**
 * The frame of every signed-in page: rail (a bottom bar on phones), breadcrumb, theme switch, shortcuts.
 * Only links to pages that exist.
 */
import type { ComponentChildren, JSX } from "preact";
import { PostForm } from "./forms.tsx";
import { Icon, type IconName, Mark } from "./icons.tsx";
import { type Theme, usePage } from "./scope.ts";

/** The sections of the rail. */
export type Section = "dashboard" | "jobs" | "audit" | "settings";

/** One step of the way to the page; the last has no link. */
export interface Crumb {
  label: string;
  href?: string;
  mono?: boolean;
}

const SECTIONS: readonly { section: Section; href: string; label: string; icon: IconName }[] = [
  { section: "dashboard", href: "/", label: "Dashboard", icon: "dashboard" },
  { section: "jobs", href: "/jobs", label: "Jobs", icon: "jobs" },
  { section: "audit", href: "/audit", label: "Audit", icon: "audit" },
  { section: "settings", href: "/settings/account", label: "Settings", icon: "settings" },
];

const THEMES: readonly { theme: Theme; label: string; icon: IconName }[] = [
  { theme: "dark", label: "Dark", icon: "moon" },
  { theme: "light", label: "Light", icon: "sun" },
  { theme: "auto", label: "Follow the system", icon: "screen" },
];

/** Rail and main column. */
export function Shell(props: {
  nav?: Section | undefined;
  counts?: Partial<Record<Section, number>> | undefined;
  crumbs?: readonly Crumb[] | undefined;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Rail nav={props.nav} counts={props.counts ?? {}} />
      <main id="main" tabIndex={-1}>
        {props.crumbs && props.crumbs.length > 0 ? <Crumbs crumbs={props.crumbs} /> : null}
        {props.children}
      </main>
      <ConnectionBar />
      <Shortcuts />
    </div>
  );
}

function Rail(props: { nav: Section | undefined; counts: Partial<Record<Section, number>> }): JSX.Element {
  const page = usePage();
  return (
    <header class="rail">
      <a class="brand" href="/">
        <Mark />
        restic-manager
      </a>
      <nav aria-label="Main">
        {SECTIONS.map(({ section, href, label, icon }) => (
          <a key={section} href={href} aria-current={props.nav === section ? "page" : undefined}>
            <Icon name={icon} />
            <span>{label}</span>
            {props.counts[section] ? <span class="count">{props.counts[section]}</span> : null}
          </a>
        ))}
      </nav>
      <div class="rail-foot">
        <a class="who" href="/settings/account">
          <Icon name="user" />
          <span class="who-name">{page.user?.name}</span> <span class="faint">{page.user?.role}</span>
        </a>
        <div class="rail-line">
          <ThemeSwitch />
          <button type="button" class="key-button scripted" data-shortcuts="" aria-label="Keyboard shortcuts">
            <kbd>?</kbd>
          </button>
        </div>
        <p class="build">
          v{page.version} · {page.database}
        </p>
      </div>
    </header>
  );
}

/** Three buttons that choose the colours; posts without scripts, switches at once with them. */
export function ThemeSwitch({ label = "Theme" }: { label?: string }): JSX.Element {
  const page = usePage();
  return (
    <PostForm action="/preferences/theme" class="segments" label={label}>
      <input type="hidden" name="return_to" value={page.path} />
      {THEMES.map(({ theme, label, icon }) => (
        <button
          key={theme}
          type="submit"
          name="theme"
          value={theme}
          title={label}
          aria-label={label}
          aria-pressed={page.theme === theme ? "true" : "false"}
        >
          <Icon name={icon} />
        </button>
      ))}
    </PostForm>
  );
}

function Crumbs({ crumbs }: { crumbs: readonly Crumb[] }): JSX.Element {
  return (
    <nav class="crumbs" aria-label="Breadcrumb">
      <ol>
        {crumbs.map((crumb) => (
          <li key={crumb.label} class={crumb.mono ? "mono" : undefined}>
            {crumb.href ? (
              <a href={crumb.href}>{crumb.label}</a>
            ) : (
              <span aria-current="page">{crumb.label}</span>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}

/** What browser/connection.ts says when live parts stand still. All hidden until then. */
function ConnectionBar(): JSX.Element {
  const page = usePage();
  return (
    <div id="connection" class="connection" role="status" hidden>
      <p data-connection="signed_out" hidden>
        You are signed out, so this page stands still.{" "}
        <a class="btn small primary" href={`/login?next=${encodeURIComponent(page.path)}`}>
          Sign in
        </a>
      </p>
      <p data-connection="gone" hidden>
        What this page shows was deleted meanwhile.{" "}
        <a class="btn small" href="/">
          Go to the dashboard
        </a>
      </p>
      <p data-connection="unreachable" hidden>
        The server does not answer: this page is not up to date. Trying again by itself.
      </p>
    </div>
  );
}

const SHORTCUTS: readonly { keys: readonly string[]; does: string }[] = [
  { keys: ["/"], does: "Search on this page" },
  { keys: ["g", "h"], does: "Go to the hosts" },
  { keys: ["g", "j"], does: "Go to the jobs" },
  { keys: ["g", "l"], does: "Go to the audit log" },
  { keys: ["g", "s"], does: "Go to the settings" },
  { keys: ["n"], does: "Add a host" },
  { keys: ["?"], does: "Show these shortcuts" },
  { keys: ["Esc"], does: "Close, or leave the search" },
];

function Shortcuts(): JSX.Element {
  return (
    <dialog id="shortcuts" class="dialog" aria-labelledby="shortcuts-title">
      <h2 id="shortcuts-title">Keyboard shortcuts</h2>
      <dl>
        {SHORTCUTS.map(({ keys, does }) => (
          <div key={does}>
            <dt>{does}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit" class="btn">
          Close
        </button>
      </form>
    </dialog>
  );
}
