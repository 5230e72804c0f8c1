/** Machines that wait to be accepted: one, doubtful ones, a hundred, and the pages on which they are decided about. */
import {
  type PendingHostPageProps,
  renderAcceptedPage,
  renderPendingHostPage,
} from "../../packages/server/src/features/pending-hosts/pending-hosts.views.tsx";
import type { PendingRow } from "../../packages/server/src/features/pending-hosts/pending-panel.views.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import * as data from "./data.ts";

const { NOW } = data;

function row(id: string, overrides: Partial<PendingRow>): PendingRow {
  return {
    id,
    hostname: "web-02",
    fingerprint: "SHA256:m7Yx2Jq0Vd8sKfTzqWb1nR4uHc9LpGvXo3EaB6iN5tE",
    os: "linux",
    arch: "x64",
    address: "10.20.0.17",
    note: null,
    proved: true,
    connected: true,
    duplicates: [],
    announcedAt: NOW - 140_000,
    expiresAt: NOW + 3_460_000,
    ...overrides,
  };
}

const LONG = "fileserver-basement-building-7.office.munich.corp.example.org";

export const PENDING: readonly PendingRow[] = [
  row("P1", {}),
  row("P2", {
    hostname: "db-01",
    fingerprint: "SHA256:Qz1Xc8Vb5Nm2Lk9Jh6Gf3Ds0Aq7We4Rt1Yu8Io5Pa2",
    address: "2001:db8:85a3:8d3:1319:8a2e:370:7348",
    note: "rack 4, the one with the new disks",
    connected: false,
    duplicates: [
      { kind: "host_name", hostId: "H1", hostName: "db-01" },
      { kind: "host_machine", hostId: "H1", hostName: "db-01" },
    ],
  }),
  row("P3", {
    hostname: LONG,
    os: "win32",
    proved: false,
    connected: false,
    duplicates: [{ kind: "pending_name" }],
  }),
];

export const MANY_PENDING: readonly PendingRow[] = Array.from({ length: 100 }, (_, i) =>
  row(`M${i}`, { hostname: `node-${String(i).padStart(3, "0")}`, address: `10.0.4.${i}` }),
);

const details = (overrides: Partial<PendingHostPageProps> = {}): PendingHostPageProps => ({
  ...row("P1", {}),
  state: { name: "pending" },
  agentVersion: "0.1.0",
  resticVersion: "0.18.1",
  serverName: "backups.example.com",
  ownName: "backups.example.com",
  ...overrides,
});

/** Pages by name. */
export const PENDING_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "pending-host": (page) => renderPendingHostPage(page, details()),
  "pending-host-doubts": (page) =>
    renderPendingHostPage(page, {
      ...details(PENDING[1]),
      serverName: "backup.lan:8080",
      form: {
        values: { hostname: "db-01", repo_url: "/srv/restic", backend: "local" },
        errors: {
          hostname: "There already is a host called db-01. Choose another name, or delete that host first.",
          server_name: "The machine dialled backup.lan:8080, which is not the address that you use.",
        },
      },
    }),
  "pending-host-unproved": (page) =>
    renderPendingHostPage(page, details({ ...PENDING[2], serverName: null, resticVersion: null })),
  "pending-host-viewer": (page) =>
    renderPendingHostPage({ ...page, user: { name: "vera", role: "viewer" } }, details()),
  "pending-host-rejected": (page) =>
    renderPendingHostPage(page, details({ state: { name: "rejected", reason: "not one of ours" } })),
  "pending-host-expired": (page) => renderPendingHostPage(page, details({ state: { name: "expired" } })),
  "pending-host-accepted": (page) =>
    renderAcceptedPage(page, {
      ...{ id: "P1", hostname: "web-02", state: { name: "accepted", hostId: "H9", connected: null } },
      ...{ mintedPassword: "kR7vpX2qTs9wMn4cZd8fHb3j", htpasswdCommand: null },
      ...{ repositoryUrl: "rest:https://backup.example.com:8000/web-02/", tags: ["prod", "web"] },
      initialPaths: ["/etc", "/home"],
    }),
};
