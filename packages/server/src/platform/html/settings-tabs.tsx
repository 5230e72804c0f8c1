/** The sections of the settings, above each of their pages. */
import type { JSX } from "preact";

const SECTIONS = [
  { name: "account", href: "/settings/account", label: "Account" },
  { name: "agents", href: "/settings/agents", label: "Agents" },
  { name: "server", href: "/settings/server", label: "Server" },
] as const;

/** Only links to pages that exist. */
export function SettingsTabs({ current }: { current: (typeof SECTIONS)[number]["name"] }): JSX.Element {
  return (
    <nav class="tabs" aria-label="Settings">
      {SECTIONS.map(({ name, href, label }) => (
        <a key={name} href={href} aria-current={name === current ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}
