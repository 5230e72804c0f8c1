/** A rotation of a repository's password with canned data: before, under way, stuck, at its decision, done, stopped. */

import {
  type RotationPageProps,
  renderRotationPage,
} from "../../packages/server/src/features/rotation/rotation.views.tsx";
import type { RotationKey } from "../../packages/server/src/features/rotation/rotation-state.ts";
import type {
  AccessView,
  RotationHost,
  RotationView,
} from "../../packages/server/src/features/rotation/rotation-view.ts";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { HEADER, LONG_NAME, NOW } from "./data.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const idle = { jobId: null, problem: null, retryAt: null };
const access = (overrides: Partial<AccessView> = {}): AccessView => ({
  ...{ slot: "everyday", step: "verified", ...idle },
  ...overrides,
});
const host = (name: string, overrides: Partial<RotationHost> = {}): RotationHost => ({
  id: name === HEADER.name ? HEADER.id : `H-${name}`,
  name,
  isOnline: true,
  lastSeenAt: NOW - 9000,
  accesses: [],
  ...overrides,
});

const key = (letter: string, overrides: Partial<RotationKey> = {}): RotationKey => ({
  ...{ id: `${letter}3f9c01e`.padEnd(64, "0"), role: "other", username: "root", hostname: "backup-head" },
  ...{ createdAt: NOW - 400 * DAY, removedAt: null },
  ...overrides,
});
const KEYS = [
  key("6", { role: "old" }),
  key("a", { hostname: LONG_NAME, username: "anna" }),
  key("c", { role: "new", createdAt: NOW - 12 * MINUTE }),
];

type Running = NonNullable<RotationView["rotation"]>;
const rotation = (overrides: Partial<Running> = {}): Running => ({
  ...{ state: "switching", startedBy: "anna", startedAt: NOW - 12 * MINUTE, changedAt: NOW - MINUTE },
  ...{ endedAt: null, ...idle, keys: KEYS },
  ...overrides,
});

const IDLE_HOSTS = [
  host("backup-head"),
  host(HEADER.name),
  host(LONG_NAME, { isOnline: false, lastSeenAt: NOW - 26 * HOUR }),
];
const VIEW: RotationView = {
  host: { id: HEADER.id, name: HEADER.name },
  location: "rest:https://backup.example.com:8000/shared/",
  hosts: IDLE_HOSTS,
  rotation: null,
};
const SWITCHED = [
  host("backup-head", { accesses: [access(), access({ slot: "admin" })] }),
  host(HEADER.name, { accesses: [access()] }),
  host(LONG_NAME, { accesses: [access()] }),
];
const UNDER_WAY: RotationView = {
  ...VIEW,
  hosts: [
    host("backup-head", {
      accesses: [access(), access({ slot: "admin", step: "adopt", jobId: "01JDJ1" })],
    }),
    host(HEADER.name, { accesses: [access({ step: "verify", jobId: "01JDJ2" })] }),
    host("laptop-anna", { accesses: [access({ step: "adopt" })] }),
    host(LONG_NAME, {
      ...{ isOnline: false, lastSeenAt: NOW - 26 * HOUR },
      accesses: [access({ step: "adopt" })],
    }),
    host("web-03"),
  ],
  rotation: rotation(),
};
const STUCK: RotationView = {
  ...UNDER_WAY,
  hosts: [
    ...SWITCHED.slice(0, 1),
    host(HEADER.name, {
      accesses: [
        access({
          step: "adopt",
          problem: {
            code: "restic.repository_locked",
            message:
              "Another restic holds the repository's lock and did not release it in time. Wait until it has finished; remove the lock only when you know that it is dead.",
          },
          retryAt: NOW + 40_000,
        }),
      ],
    }),
    host(LONG_NAME, {
      accesses: [
        access({
          step: "adopt",
          problem: {
            code: "restic.unauthorised",
            message:
              "The storage refused the credentials. Check user name and password of the repository server.",
          },
        }),
      ],
    }),
  ],
};
const READY: RotationView = { ...VIEW, hosts: SWITCHED, rotation: rotation({ state: "ready" }) };
const REFUSED: RotationView = {
  ...READY,
  rotation: rotation({
    state: "ready",
    problem: {
      code: "key.refused",
      message:
        "This credential may not delete: the storage is append-only for it. The old password still opens the repository. Enter an admin credential that may delete in the repository's settings, then remove the old keys again.",
    },
  }),
};
const DONE: RotationView = {
  ...READY,
  rotation: rotation({
    ...{ state: "done", endedAt: NOW - MINUTE },
    keys: KEYS.map((one) => (one.role === "old" ? { ...one, removedAt: NOW - MINUTE } : one)),
  }),
};

const show = (props: RotationPageProps) => (page: PageContext) => renderRotationPage(page, props);

/** Each view of a rotation by its name. */
export const ROTATION_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "rotation-before": show({ view: VIEW }),
  "rotation-started": show({
    view: {
      ...VIEW,
      rotation: rotation({
        ...{ state: "adding", startedAt: NOW, changedAt: NOW, jobId: "01JDJ1" },
        keys: [],
      }),
    },
    mintedPassword: "kR7vpX2qTs9wMn4cZd8fHb3j",
  }),
  "rotation-under-way": show({ view: UNDER_WAY }),
  "rotation-stuck": show({ view: STUCK }),
  "rotation-ready": show({ view: READY }),
  "rotation-unconfirmed": show({
    view: REFUSED,
    form: {
      errors: { confirmed: "Confirm that the new password is stored where you find it without this server." },
    },
  }),
  "rotation-done": show({ view: DONE }),
  "rotation-stopped": show({
    view: { ...VIEW, rotation: rotation({ state: "stopped", endedAt: NOW - HOUR }) },
    form: { errors: { password: "It can't begin or end with a blank: restic would drop that." } },
  }),
  "rotation-viewer": (page) =>
    renderRotationPage({ ...page, user: { name: "viewer", role: "viewer" } }, { view: READY }),
};
