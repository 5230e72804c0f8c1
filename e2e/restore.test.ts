/** Files come back: a deleted one to its place within two minutes, and one host's files on another, with real agents and restic. */
import { execFile } from "node:child_process";
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareTrees } from "./lab/bytes.ts";
import { type JobJson, LabHost } from "./lab/host.ts";
import { Lab, writeRandomFiles } from "./lab/lab.ts";

let lab: Lab;
let web: LabHost;
let db: LabHost;
let source: string;
let snapshotId: string;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startServer();
  await lab.signUp();
  source = await lab.makeFolder("source");
  await writeRandomFiles(source, 5, 200_000);
  await writeFile(join(source, "lost <b>&\n.txt"), "the one that somebody deletes", { mode: 0o640 });
  await utimes(join(source, "lost <b>&\n.txt"), 1_500_000_000, 1_500_000_000);
  web = await LabHost.add(lab, { isQuick: true, name: "web-01", paths: [source] });
  db = await LabHost.add(lab, { isQuick: true, name: "db-01", paths: [source] });
  snapshotId = (await web.backUp()).summary?.snapshot_id ?? "";
});
afterAll(() => lab.close());

const restore = async (host: LabHost, wish: Record<string, unknown>): Promise<JobJson> => {
  const path = `/api/hosts/${web.id}/restore`;
  const { job_id } = await lab.api.post<{ job_id: string }>(path, { snapshot_id: snapshotId, ...wish });
  return host.finished(job_id);
};

test("a deleted file is back in its place with content, mode, owner and time", async () => {
  const path = join(source, "lost <b>&\n.txt");
  const before = await stat(path);
  await rm(path);
  const job = await restore(web, { paths: [path], target: { kind: "in_place", confirm_name: "web-01" } });
  expect(job).toMatchObject({ status: "succeeded", error: null });
  expect(await readFile(path, "utf8")).toBe("the one that somebody deletes");
  const after = await stat(path);
  const known = ["mode", "uid", "gid", "mtimeMs", "size"] as const;
  expect(known.map((name) => after[name])).toEqual(known.map((name) => before[name]));
});

test("one host's files come to another host, whose agent is given their repository for this job alone", async () => {
  const folder = join(lab.folder, "on-db-01");
  const job = await restore(db, {
    ...{ paths: [source], target: { kind: "directory", path: folder }, verify: true },
    to: { host_id: db.id, confirm_name: "db-01" },
    path_map: [{ from: source, to: "/from-web" }],
  });
  expect(job).toMatchObject({ status: "succeeded", error: null });
  expect((await compareTrees(source, join(folder, "from-web"))).differences).toEqual([]);
  // What it can reach of its own is as before: its own repository has no snapshot.
  const mine = await db.backUp();
  expect(mine.status).toBe("succeeded");
  expect((await db.restic("snapshots", "--json")).match(/"hostname":"web-01"/)).toBeNull();
  // grep names the files that hold it. It ends with 2, not 1, when the agent takes one away meanwhile: what it names counts.
  const places = [db.dataFolder, db.agentLog, lab.serverLog];
  for (const place of places) await stat(place);
  const look = ["-c", 'grep -rlsF -e "$@" || true', "grep", web.password, ...places];
  expect((await promisify(execFile)("sh", look)).stdout).toBe("");
  const { entries } = await lab.api.get<{ entries: { action: string; target: { name: string } }[] }>(
    "/api/audit?action=host.restore",
  );
  expect(entries.map(({ target }) => target.name).sort()).toEqual(["db-01", "web-01", "web-01"]);
});
