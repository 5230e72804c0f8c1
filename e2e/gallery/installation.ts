/** Settings → Server with canned data: one server, replicas, and an upgrade in which one is lost. */
import type {
  InstallationView,
  ReplicaView,
} from "../../packages/server/src/features/installation/installation.ts";
import { renderServerPage } from "../../packages/server/src/features/installation/installation.views.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { NOW } from "./data.ts";

const HOUR = 3_600_000;

const replica = (id: string, more: Partial<ReplicaView> = {}): ReplicaView => ({
  ...{ id, url: `http://10.20.0.${id}:8080`, version: "0.2.0", startedAt: NOW - 190 * HOUR },
  ...{ seenAt: NOW - 2000, isAlive: true, isLeader: false, isThis: false, agents: 3317 },
  ...more,
});
const view = (more: Partial<InstallationView> = {}): InstallationView => ({
  ...{ version: "0.2.0", jobLogDays: 90, downloads: true },
  database: { engine: "PostgreSQL", version: "15.18 (Debian 15.18-0+deb12u1)", sizeBytes: 3_482_124_288 },
  replicas: [replica("11", { isThis: true }), replica("12", { isLeader: true, agents: 3341 }), replica("13")],
  ...more,
});
const show = (of: InstallationView) => (page: PageContext) => renderServerPage(page, of);

/** Each view by its name. */
export const INSTALLATION_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "server-alone": show(
    view({
      database: { engine: "SQLite", version: "3.51.3", sizeBytes: 48_234_496 },
      ...{ jobLogDays: 0, downloads: false },
      replicas: [replica("1", { url: "http://127.0.0.1:8080", isThis: true, isLeader: true, agents: 52 })],
    }),
  ),
  "server-replicas": show(view()),
  "server-upgrade": show(
    view({
      replicas: [
        replica("11", { isThis: true, isLeader: true, version: "0.3.0", startedAt: NOW - 60_000 }),
        replica("12", {
          url: "http://restic-manager-replica-of-the-data-centre-in-rotterdam-02.internal.example.com:18080",
        }),
        replica("13", { isAlive: false, agents: 0, seenAt: NOW - 12 * 60_000 }),
      ],
    }),
  ),
};
