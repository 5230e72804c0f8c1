/** Settings → Agents with canned data: no files, a broken set, an update under way and one that stands still. */
import type { Release, ReleaseFile } from "../../packages/server/src/features/artefacts/artefacts.ts";
import type { UpdateRun } from "../../packages/server/src/features/updates/update-run.ts";
import type {
  AgentsView,
  ProgramView,
  RunView,
  TargetView,
} from "../../packages/server/src/features/updates/update-view.ts";
import { renderAgentsPage } from "../../packages/server/src/features/updates/updates.views.tsx";
import type { PageContext } from "../../packages/server/src/platform/html/scope.ts";
import { LONG_NAME, NOW } from "./data.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const FOLDER = "/var/lib/restic-manager/release";

const file = (
  name: string,
  sizeBytes: number,
  artefact: ReleaseFile["artefact"] = null,
): [string, ReleaseFile] => {
  const sha256 = [...name]
    .map((letter) => letter.charCodeAt(0).toString(16))
    .join("")
    .padEnd(64, "7")
    .slice(-64);
  return [name, { name, path: name, sizeBytes, modifiedMs: NOW, tag: sha256, sha256, artefact }];
};
const systems = [
  ["linux", "x64", ""],
  ["linux", "arm64", ""],
  ["windows", "x64", ".exe"],
] as const;
const files = new Map([
  ...systems.map(([os, arch, end]) =>
    file(`restic-manager-agent-0.2.0-${os}-${arch}${end}`, 121_634_816, {
      ...{ program: "restic-manager-agent", version: "0.2.0", os, arch },
    }),
  ),
  ...systems.map(([os, arch, end]) =>
    file(`restic-0.19.1-${os}-${arch}${end}`, 27_262_976, { program: "restic", version: "0.19.1", os, arch }),
  ),
  file("install.sh", 18_220),
  file("install.ps1", 14_100),
  file("SHA256SUMS", 1180),
]);
const WHOLE: Release = {
  ...{ kind: "whole", source: "data", folder: FOLDER, checkedAt: NOW - 3 * HOUR, files, sums: new Map() },
  signed: { sums: "", signature: "" },
  keyFingerprint: "3f9c01e7a2b84d5560c1f7e2d9a8b7c6".repeat(2),
};

const program = (overrides: Partial<ProgramView>): ProgramView => ({
  ...{ program: "agent", served: "0.2.0", versions: [], behind: 0, byHand: 0 },
  ...{ onWindows: 0, unusable: 0, unserved: [] },
  ...overrides,
});
const PROGRAMS: ProgramView[] = [
  program({
    versions: [
      { version: "0.3.0-rc.1", count: 1, drift: "ahead" },
      { version: "0.2.0", count: 41, drift: "current" },
      { version: "0.1.0", count: 7, drift: "behind" },
      { version: "built by anna", count: 1, drift: "unknown" },
    ],
    ...{ behind: 7, byHand: 2, onWindows: 1 },
  }),
  program({
    ...{ program: "restic", served: "0.19.1", behind: 3, unusable: 1 },
    unserved: [{ system: "linux/arm", count: 2 }],
    versions: [
      { version: "0.19.1", count: 47, drift: "current" },
      { version: "0.18.0", count: 2, drift: "behind" },
      { version: null, count: 1, drift: "behind" },
    ],
  }),
];

const run = (overrides: Partial<UpdateRun> = {}): UpdateRun => ({
  ...{ id: "01JDUPDATE", state: "running", program: "agent", version: "0.2.0", tag: null },
  ...{
    actor: { kind: "user", id: "U1", name: "anna" },
    startedAt: NOW - 12 * MINUTE,
    changedAt: NOW - MINUTE,
  },
  ...{ endedAt: null, pause: null },
  ...overrides,
});
const target = (name: string, overrides: Partial<TargetView> = {}): TargetView => ({
  ...{ id: `H-${name}`, name, state: "waiting", wave: null, isOnline: true, lastSeenAt: NOW - 9000 },
  ...{ jobId: null, jobStatus: null, fromVersion: "0.1.0", problem: null },
  ...overrides,
});
function viewOf(some: UpdateRun, targets: TargetView[], wave: RunView["wave"] = 2): RunView {
  const count = (state: TargetView["state"]) => targets.filter((one) => one.state === state).length;
  const counts = {
    ...{ waiting: count("waiting"), updating: count("updating"), done: count("done") },
    ...{ failed: count("failed"), skipped: count("skipped") },
  };
  return { run: some, counts, wave, targets };
}

const UPDATING = target("web-02", { state: "updating", wave: 2, jobId: "01JDJ2", jobStatus: "running" });
const QUEUED = target("db-01", { state: "updating", wave: 2, jobId: "01JDJ3", jobStatus: "queued" });
const BY_HAND = target("old-nas", {
  state: "skipped",
  problem: {
    code: "agent.too_old",
    message: "The agent on old-nas is too old to update anything. Run the installer once more on the host.",
  },
});
const AWAY = target(LONG_NAME, { isOnline: false, lastSeenAt: NOW - 26 * HOUR });
const DONE = target("web-01", { state: "done", wave: 1, jobId: "01JDJ1" });
const FAILED = target(LONG_NAME, {
  ...{ state: "failed", wave: 2, jobId: "01JDJ4" },
  problem: {
    code: "update.rolled_back",
    message:
      "The new version could not say hello within 90 seconds: the old one runs again. Look at the agent's log on the host for why it did not start.",
  },
});
const PAUSE = { hostId: FAILED.id, hostName: FAILED.name, ...(FAILED.problem ?? { code: "", message: "" }) };
const MANY = Array.from({ length: 1000 }, (_, index) =>
  target(`node-${String(index).padStart(4, "0")}`, index < 112 ? { state: "done", wave: 3 } : {}),
);

const CALM: AgentsView = { release: WHOLE, programs: PROGRAMS, run: null };
const EMPTY = PROGRAMS.map((one) => ({
  ...one,
  served: null,
  versions: [],
  behind: 0,
  byHand: 0,
  onWindows: 0,
  unusable: 0,
  unserved: [],
}));
const show =
  (view: AgentsView, more: { message?: string } = {}) =>
  (page: PageContext) =>
    renderAgentsPage(page, { view, server: "https://backups.example.com", ...more });

/** Each view by its name. */
export const AGENT_VIEWS: Readonly<Record<string, (page: PageContext) => string>> = {
  "agents-behind": show(CALM),
  "agents-no-files": show({ ...CALM, release: { kind: "none", dataFolder: FOLDER }, programs: EMPTY }),
  "agents-broken": show({
    ...{
      ...CALM,
      programs: PROGRAMS.map((one) => ({ ...one, served: null, behind: 0, byHand: 0, onWindows: 0 })),
    },
    release: {
      ...{ kind: "broken", source: "data", folder: FOLDER, checkedAt: NOW - MINUTE },
      problem: "restic-manager-agent-0.2.0-linux-x64 has another digest than SHA256SUMS says.",
    },
  }),
  "agents-updating": show({
    ...CALM,
    run: viewOf(run(), [UPDATING, QUEUED, BY_HAND, AWAY, target("web-03"), DONE]),
  }),
  "agents-paused": show({
    ...CALM,
    run: viewOf(run({ state: "paused", pause: PAUSE }), [FAILED, UPDATING, target("web-03"), DONE]),
  }),
  "agents-1000": show({ ...CALM, run: viewOf(run(), [UPDATING, ...MANY], 3) }),
};
