/**
 * The password of a repository that three hosts share is replaced, with everything real: a server that is killed in the
 * middle, an agent that is killed in the middle, a host that is away, a storage that is append-only, and backups before,
 * while and after. All the time each host's stored access is tried with plain restic, whenever it changed.
 */
import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { findHost } from "../../packages/server/src/features/hosts/hosts.ts";
import { findAccess } from "../../packages/server/src/features/repositories/repositories.ts";
import { findRotation } from "../../packages/server/src/features/rotation/rotation.store.ts";
import { openSqlite } from "../../packages/server/src/platform/db/sqlite.ts";
import { createSecretBox } from "../../packages/server/src/platform/secrets.ts";
import { until } from "../../tools/demo/children.ts";
import { LabHost, writeScript } from "../lab/host.ts";
import {
  createSecret,
  killAtOnce,
  Lab,
  plainEnvironment,
  type RestServer,
  writeRandomFiles,
} from "../lab/lab.ts";

const run = promisify(execFile);

interface RotationJson {
  state: string;
  password?: string | null;
  error: { code: string; message: string } | null;
  hosts: {
    name: string;
    accesses: { slot: string; step: string; error: { code: string } | null }[];
  }[];
  keys: { id: string; role: string; removed_at: string | null }[];
}

const user = { name: "shared", password: createSecret("rest") };
let lab: Lab;
let everyday: RestServer;
let full: RestServer;
let hosts: LabHost[];
let gate: string;

beforeAll(async () => {
  lab = await Lab.create();
  gate = join(lab.folder, "gate");
  everyday = await lab.startRestServer(user, ["--append-only"]);
  full = await lab.startRestServer(user);
  await lab.startServer();
  await lab.signUp();
  const paths = [await writeRandomFiles(join(lab.folder, "sources"), 2, 200_000)];
  const shared = { paths, repository: everyday.repository, restUser: user, password: createSecret("repo") };
  // Its backup does not end while the gate is there.
  const wait = `'${lab.resticPath}' "$@" & pid=$!; wait $pid; code=$?; while [ -e ${gate} ]; do sleep 0.05; done; exit $code`;
  const resticPath = await writeScript(
    join(lab.folder, "gated-restic"),
    `if [ "$1" = backup ] && [ -e ${gate} ]; then ${wait}; fi\nexec '${lab.resticPath}' "$@"`,
  );
  hosts = [
    await LabHost.add(lab, { name: "alpha", ...shared, resticPath }),
    await LabHost.add(lab, { name: "beta", ...shared }),
    await LabHost.add(lab, { name: "gamma", ...shared }),
  ];
});

afterAll(() => lab?.close());

const at = (name: string): LabHost => {
  const host = hosts.find((one) => one.name === name);
  if (!host) throw new Error(`no host ${name}`);
  return host;
};
const url = (path = "") => `/api/hosts/${at("alpha").id}/repo-rotation${path}`;
const rotation = () => lab.api.get<RotationJson>(url());
const untilRotation = (what: string, wanted: (now: RotationJson) => boolean): Promise<RotationJson> =>
  until(what, 90_000, async () => {
    const now = await rotation();
    return wanted(now) ? now : null;
  });
const stepsOf = (now: RotationJson, name: string) =>
  now.hosts.find((host) => host.name === name)?.accesses.map(({ step }) => step) ?? [];

/** restic's exit code for opening the repository with that password, over that location. */
async function open(password: string, location = everyday.repository): Promise<number> {
  const rest = { RESTIC_REST_USERNAME: user.name, RESTIC_REST_PASSWORD: user.password };
  const secret = { RESTIC_REPOSITORY: location, RESTIC_PASSWORD: password, ...rest };
  const env = { ...plainEnvironment(), ...secret, RESTIC_CACHE_DIR: await lab.makeFolder("plain-cache") };
  return run(lab.resticPath, ["cat", "config", "--no-lock"], { env }).then(
    () => 0,
    (error: { code: number }) => error.code,
  );
}

/** Reads what the server has stored, as it is on its disk, and tries each new version of it with restic. */
async function watchStored(signal: AbortSignal): Promise<{ tried: Set<string>; broken: string[] }> {
  const db = openSqlite(join(lab.dataFolder, "restic-manager.db"));
  const key = Buffer.from((await readFile(join(lab.dataFolder, "secret.key"), "utf8")).trim(), "base64");
  const box = createSecretBox(key);
  const repositoryId = (await findHost(db, hosts[0]?.id ?? ""))?.repositoryId ?? "";
  const [tried, broken] = [new Set<string>(), [] as string[]];
  let before = "";
  while (!signal.aborted) {
    const accesses = [];
    for (const { id, name } of hosts) {
      for (const slot of ["everyday", "admin"] as const) {
        const found = await findAccess(db, box, id, slot);
        if (found) accesses.push({ name: `${name} ${slot} v${found.version}`, ...found.access });
      }
    }
    const state = (await findRotation(db, repositoryId))?.state ?? "";
    const now = JSON.stringify([state, accesses]);
    if (now !== before) {
      for (const { name, password, location } of accesses) {
        tried.add(name);
        if ((await open(password, location)) !== 0) broken.push(`${name} while ${state}`);
      }
      before = now;
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  await db.destroy();
  return { tried, broken };
}

test("a password is replaced over three hosts, through kills and absences, and no host is ever locked out", async () => {
  const old = at("alpha").password;
  for (const host of hosts) expect(await host.backUp()).toMatchObject({ status: "succeeded" });
  const watching = new AbortController();
  onTestFinished(() => watching.abort());
  const watched = watchStored(watching.signal);

  await at("gamma").killAgent();
  const started = await lab.api.post<RotationJson>(url());
  const fresh = started.password ?? "";
  expect(fresh).toMatch(/^\w{24}$/);
  // The server goes down with the first step on its way, and an agent with a later one.
  await killAtOnce(lab.server);
  await lab.startServer();
  await lab.signIn();
  await untilRotation("the new key", (now) => now.state === "switching");
  await at("beta").killAgent();
  await at("beta").startAgent();
  const during = at("alpha").backUp();
  await untilRotation("alpha and beta", (now) =>
    ["alpha", "beta"].every((name) => stepsOf(now, name).join() === "verified"),
  );
  expect(await during).toMatchObject({ status: "succeeded" });
  expect(await rotation()).toMatchObject({ state: "switching" });
  await expect(lab.api.post(url("/remove"), { confirmed: true })).rejects.toMatchObject({
    code: "rotation.not_ready",
  });
  expect([await open(old), await open(fresh)]).toEqual([0, 0]);
  await at("gamma").startAgent();
  await untilRotation("gamma", (now) => now.state === "ready");

  // An append-only storage keeps the old key, and says so; with what may delete it goes.
  await expect(lab.api.post(url("/remove"), {})).rejects.toMatchObject({ code: "rotation.not_confirmed" });
  await lab.api.post(url("/remove"), { confirmed: true });
  const refused = await untilRotation("the refusal", (now) => now.state === "ready" && now.error !== null);
  expect(refused.error).toMatchObject({ code: "key.refused" });
  expect([await open(old), await open(fresh)]).toEqual([0, 0]);
  const admin = { repo_url: full.repository, repo_username: user.name, rest_password: user.password };
  await lab.api.put(`/api/hosts/${at("beta").id}/repo-credentials/admin`, admin);
  await untilRotation(
    "the admin access",
    (now) => stepsOf(now, "beta").length === 2 && now.state === "ready",
  );

  // A backup that has begun is not disturbed: the removal waits for it.
  await writeFile(gate, "");
  const backup = await at("alpha").startBackup();
  await at("alpha").findRun(backup);
  await lab.api.post(url("/remove"), { confirmed: true });
  const removal = await until("the removal's job", 30_000, async () => {
    const path = `/api/hosts/${at("beta").id}/jobs?kind=key&status=queued`;
    return (await lab.api.get<{ jobs: { id: string }[] }>(path)).jobs[0];
  });
  expect(await open(old)).toBe(0);
  expect(await at("beta").job(removal.id)).toMatchObject({ status: "queued" });
  const edit = at("gamma").editRepository({ repo_password: old });
  await expect(edit).rejects.toMatchObject({ code: "rotation.removing" });
  await rm(gate);
  expect(await at("alpha").finished(backup)).toMatchObject({ status: "succeeded" });
  const done = await untilRotation("the end", (now) => now.state === "done");
  expect(done.keys.filter(({ removed_at }) => removed_at !== null)).toHaveLength(1);

  expect([await open(old), await open(fresh)]).toEqual([12, 0]);
  for (const host of hosts) expect(await host.backUp()).toMatchObject({ status: "succeeded" });
  watching.abort();
  const { tried, broken } = await watched;
  expect(broken).toEqual([]);
  expect([...tried].toSorted()).toEqual(
    ["alpha everyday v1", "alpha everyday v2", "beta everyday v1", "beta everyday v2"]
      .concat(["beta admin v1", "gamma everyday v1", "gamma everyday v2"])
      .toSorted(),
  );
  // Nothing that any program wrote of itself holds the new password.
  for (const file of [lab.serverLog, ...hosts.map(({ agentLog }) => agentLog)])
    expect(await readFile(file, "utf8")).not.toContain(fresh);
});
