/**
 * The few line icons of the product, 16×16, drawn with the current text colour. Decorative: always
 * hidden from assistive technology, the word beside them carries the meaning.
 */
import type { JSX } from "preact";

const PATHS = {
  dashboard: [
    "M2.5 2.5h4.5v6h-4.5z",
    "M9 2.5h4.5v3.500h-4.5z",
    "M9 8h4.5v5.5h-4.5z",
    "M2.5 10.500h4.5v3h-4.5z",
  ],
  jobs: ["M2.5 4l1.2 1.200L6 2.9", "M2.5 11l1.2 1.200L6 9.9", "M8.5 4h5", "M8.5 11h5"],
  audit: ["M4 2h6l2.5 2.500V14H4z", "M6.5 7h3.5", "M6.5 10h3.5"],
  settings: [
    "M2.5 5h6.5",
    "M12.5 5h1",
    "M2.5 11h1",
    "M7 11h6.5",
    "M10.75 3.250a1.75 1.75 0 1 0 0 3.500a1.75 1.75 0 1 0 0-3.5",
    "M5.25 9.250a1.75 1.75 0 1 0 0 3.500a1.75 1.75 0 1 0 0-3.5",
  ],
  plus: ["M8 3v10", "M3 8h10"],
  play: ["M5 3.200v9.600l7.5-4.800z"],
  copy: ["M5.5 5.500h8v8h-8z", "M10.5 5.500v-3h-8v8h3"],
  check: ["M3 8.500l3.2 3.200L13 4.8"],
  cross: ["M4 4l8 8", "M12 4l-8 8"],
  search: ["M7 2.500a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9", "M10.3 10.300L13.5 13.5"],
  download: ["M8 2.500v7.5", "M4.8 7l3.2 3.200L11.2 7", "M3 13.500h10"],
  alert: ["M8 2.200L14.3 13.300H1.700z", "M8 6.500v3.2", "M8 11.400v.2"],
  info: ["M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12", "M8 7.500v3.5", "M8 5v.2"],
  sun: [
    "M8 5.200a2.8 2.8 0 1 0 0 5.600a2.8 2.8 0 1 0 0-5.6",
    "M8 1.500v1.2",
    "M8 13.300v1.2",
    "M1.5 8h1.2",
    "M13.3 8h1.2",
    "M3.4 3.400l.85.85",
    "M11.75 11.750l.85.85",
    "M3.4 12.600l.85-.85",
    "M11.75 4.250l.85-.85",
  ],
  moon: ["M13.5 9.600A6 6 0 0 1 6.4 2.500a6 6 0 1 0 7.1 7.100z"],
  screen: ["M2 3h12v8H2z", "M5.5 13.500h5"],
  folder: ["M2 4.200h4.200l1.5 1.800H14v7.500H2z"],
  chevron: ["M6 3.500L10.5 8L6 12.5"],
  server: ["M2.5 3h11v4h-11z", "M2.5 9h11v4h-11z", "M5 5v.1", "M5 11v.1"],
  repeat: [
    "M13 6.500A5.2 5.2 0 0 0 3.6 5",
    "M3.5 2.200V5h2.8",
    "M3 9.500A5.2 5.2 0 0 0 12.4 11",
    "M12.5 13.800V11H9.7",
  ],
  user: ["M8 2.500a2.75 2.75 0 1 0 0 5.500a2.75 2.75 0 1 0 0-5.5", "M2.8 13.800a5.2 5.2 0 0 1 10.4 0"],
} as const;

/** The names of the drawn icons. */
export type IconName = keyof typeof PATHS;

/** One icon. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      {PATHS[name].map((path) => (
        <path key={path} d={path} />
      ))}
    </svg>
  );
}

/** The product's mark: three stacked layers in an arch, in the accent colour. */
export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <path class="mark-1" d="M10 2.200L18 6.200L10 10.200L2 6.200z" />
      <path class="mark-2" d="M2 10L10 14L18 10" />
      <path class="mark-3" d="M2 13.800L10 17.800L18 13.8" />
    </svg>
  );
}
