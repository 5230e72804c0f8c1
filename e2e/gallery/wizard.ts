/** The restore wizard with canned data: nothing chosen, a tree with odd names, refused, offline, no snapshot. */
import {
  renderWizardPage,
  type WizardProps,
} from "../../packages/server/src/features/restore/wizard.views.tsx";
import { emptyWizard } from "../../packages/server/src/features/restore/wizard-form.ts";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { HEADER, HOSTILE, LONG_NAME, LONG_PATH, SNAPSHOTS } from "./data.ts";

const WIZARD: WizardProps = {
  host: { id: HEADER.id, name: HEADER.name, online: true, windows: false },
  snapshots: SNAPSHOTS.map(({ id, at, tags, paths, sizeBytes, fileCount }) => ({
    ...{ id, time: at, tags, paths, sizeBytes, fileCount },
  })),
  snapshotCount: 412,
  otherHosts: [
    { id: "01JDWEB", name: "web-01", online: true },
    { id: "01JDMAIL", name: LONG_NAME, online: false },
    { id: "01JDWIN", name: "office-pc", online: true },
  ],
  readers: [],
  downloads: true,
  values: emptyWizard,
};
const chosen = { ...emptyWizard, snapshot: SNAPSHOTS[0]?.id ?? "" };

export const WIZARD_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  wizard: (page) => renderWizardPage(page, WIZARD),
  "wizard-files": (page) => renderWizardPage(page, { ...WIZARD, values: chosen }),
  "wizard-refused": (page) =>
    renderWizardPage(page, {
      ...WIZARD,
      values: {
        ...chosen,
        paths: ["/etc/nginx", "/srv/notes.txt", LONG_PATH],
        target: "in_place",
        overwrite: "if-changed",
        includes: "*.conf\n/etc",
        confirm_name: "db-primry",
      },
      errors: {
        confirm_name: `That is not the host's name. Type exactly ${HEADER.name}.`,
        lines: "“/srv/../etc” leads upward with “..”. Name the folder itself.",
        includes:
          "The pattern “/etc” begins at the root. Patterns hold inside the selected folders: begin with a name.",
      },
      message: "Nothing was restored. See below.",
    }),
  "wizard-offline": (page) =>
    renderWizardPage(page, {
      ...WIZARD,
      host: { ...WIZARD.host, online: false },
      readers: WIZARD.otherHosts.filter(({ online }) => online),
      values: chosen,
    }),
  "wizard-away": (page) =>
    renderWizardPage(page, {
      ...WIZARD,
      host: { ...WIZARD.host, name: LONG_NAME, online: false },
      otherHosts: [],
      values: chosen,
      message: `${LONG_NAME} is offline, so nothing can be restored there. Start its agent, or restore to another host.`,
    }),
  "wizard-empty": (page) => renderWizardPage(page, { ...WIZARD, snapshots: [], snapshotCount: 0 }),
};

interface Canned {
  name: string;
  kind: string;
  size_bytes: number | null;
  target?: string;
  ref?: string;
}

const folder = (name: string): Canned => ({ name, kind: "folder", size_bytes: null });
const file = (name: string, size_bytes: number): Canned => ({ name, kind: "file", size_bytes });

const TREE: Readonly<Record<string, Canned[]>> = {
  "/": [folder("etc"), folder("srv"), folder("var")],
  "/etc": [
    folder("nginx"),
    folder("postgresql"),
    file("hosts", 412),
    { name: "localtime", kind: "link", size_bytes: null, target: "/usr/share/zoneinfo/UTC" },
    file("passwd", 2210),
  ],
  "/etc/nginx": [folder("conf.d"), file("mime.types", 5349), file("nginx.conf", 2656)],
  "/srv": [
    folder("empty"),
    folder("many"),
    file(HOSTILE, 31),
    file("a name with\na newline", 7),
    { ...file("bad\ufffd.bin", 99), ref: "base64:L3Nydi9iYWT/LmJpbg==" },
    { name: "pipe", kind: "fifo", size_bytes: null },
    file(`${"long-".repeat(49)}.txt`, 3 * 1024 ** 3),
    file("notes.txt", 18_204),
    file("🎉.png", 88_112),
  ],
  "/srv/empty": [],
  "/srv/many": Array.from({ length: 1200 }, (_, index) =>
    file(`file-${String(index).padStart(4, "0")}`, index),
  ),
  "/var": [folder("backups")],
  "/var/backups": [file("dump.sql", 41_202_112)],
};

const PAGE = 500;
const at = "2026-11-20T10:11:12.000Z";
const toEntry = (parent: string, { target, ...entry }: Canned) => ({
  ...{ ref: `${parent === "/" ? "" : parent}/${entry.name}`, ...entry },
  ...{ mode: 0o644, uid: 0, gid: 0, user: "root", group: "root", modified_at: at, target: target ?? null },
});

function tree(query: URLSearchParams): object {
  const path = query.get("path") ?? "/";
  const all = (TREE[path] ?? []).map((entry) => toEntry(path, entry));
  const after = all.findIndex(({ ref }) => ref === query.get("after"));
  const entries = all.slice(after + 1, after + 1 + PAGE);
  return { entries, more: after + 1 + PAGE < all.length, indexed: true, index_problem: null };
}

/** Being looked through when asked first, as on a host that has not seen this snapshot before. */
let looks = 0;

function search(query: URLSearchParams): object {
  const wanted = (query.get("pattern") ?? "").toLowerCase();
  looks += 1;
  if (wanted === "slow" && looks % 2 === 1)
    return {
      state: "indexing",
      waits_for_job: false,
      indexed_files: 40_211,
      problem: null,
      matches: [],
      more: false,
    };
  const matches = Object.entries(TREE)
    .flatMap(([path, entries]) => entries.map((entry) => toEntry(path, entry)))
    .filter(({ name }) => name.toLowerCase().includes(wanted === "slow" ? "n" : wanted))
    .map((entry) => ({ ...entry, path: entry.ref }));
  return {
    ...{ state: "ready", waits_for_job: false, indexed_files: 1231, problem: null, more: false },
    matches,
  };
}

function versions(): object {
  const sizes = [18_204, 18_204, 17_100, 17_100, 9000];
  return {
    versions: sizes.map((size_bytes, index) => ({
      snapshot_id: SNAPSHOTS[index]?.id ?? "",
      time: new Date(SNAPSHOTS[index]?.at ?? 0).toISOString(),
      ...{ kind: "file", size_bytes, modified_at: at, mode: 0o644 },
      is_same_as_newer: size_bytes === sizes[index - 1],
    })),
    truncated: false,
  };
}

function hosts(query: URLSearchParams): object {
  const [part, name] = ["q", "name"].map((key) => query.get(key)?.toLowerCase());
  const found = WIZARD.otherHosts.filter(
    (host) =>
      host.name.toLowerCase().includes(part ?? "") &&
      (name === undefined || host.name.toLowerCase() === name) &&
      (query.get("state") !== "online" || host.online),
  );
  return { hosts: found, next: null };
}

/** What the wizard's questions are answered with; undefined for any other address. */
export function answerWizard(url: URL): object | undefined {
  if (url.pathname === "/api/hosts") return hosts(url.searchParams);
  const question = /^\/api\/hosts\/[^/]+\/snapshots\/(?:[^/]+\/)?(tree|search|versions)$/.exec(
    url.pathname,
  )?.[1];
  if (question === "tree") return tree(url.searchParams);
  if (question === "search") return search(url.searchParams);
  return question === "versions" ? versions() : undefined;
}
