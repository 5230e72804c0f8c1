/** Applying retention, with real restic: what goes, what must not, and what a restart or a cancel leaves. */
import { existsSync } from "node:fs";
import { chmod, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ForgetSpec } from "@restic-manager/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type AgentLab,
  createAgentLab,
  endOf,
  JOB,
  killProgram,
  runJob,
  startInProgram,
  startProgram,
} from "../../fixtures/agent/lab.ts";
import {
  createLab,
  createRepository,
  fillSource,
  getResticPath,
  type Lab,
  listIds,
  makeSnapshots,
  until,
} from "../../fixtures/restic/lab.ts";

const HOST = "web-1";
/** Everything that a shell, JSON or restic could take for something else. */
const ODD = `-a "b" 'c' $HOME; é&*`;

let template: Lab;
beforeAll(async () => {
  template = await createLab();
  await createRepository(template);
  await fillSource(template, 1);
  const at = (day: number) => `2026-01-${String(day).padStart(2, "0")} 10:00:00`;
  await makeSnapshots(template, [
    ...Array.from({ length: 12 }, (_, day) => ({ host: HOST, tag: "daily", time: at(day + 1) })),
    ...[1, 2].map((day) => ({ host: HOST, tag: ODD, time: at(day) })),
    ...[1, 2].map((day) => ({ host: "web-2", tag: "daily", time: at(day) })),
  ]);
});
afterAll(() => template.remove());

let lab: AgentLab;
beforeEach(async () => {
  lab = await createAgentLab();
  await cp(template.repository.url, lab.repository.url, { recursive: true });
});
afterEach(() => lab.remove());

const forget = (groups: ForgetSpec["groups"], changes: Partial<ForgetSpec> = {}): ForgetSpec => {
  return { kind: "forget", host_name: HOST, groups, max_removed_percent: 50, confirmed: false, ...changes };
};
const group = (source_group: string, keep_last: number) => ({ source_group, policy: { keep_last } });
const idsOf = (host: string, tag: string) => listIds(host, tag, lab.envFor());

/** A restic whose removal, not its plan, waits for the gate. */
async function createGate() {
  const [path, gate, reached] = ["gated", "gate", "reached"].map((name) => join(lab.dir, name));
  const wait = `: > ${reached}; while [ ! -e ${gate} ]; do sleep 0.05; done`;
  const condition = `case "$*" in *--dry-run*) ;; forget*) ${wait} ;; esac`;
  await writeFile(path ?? "", `#!/bin/sh\n${condition}\nexec ${getResticPath()} "$@"\n`);
  await chmod(path ?? "", 0o755);
  const isReached = () => existsSync(reached ?? "");
  return {
    path: path ?? null,
    reached: () => until("the removal", isReached),
    open: () => writeFile(gate ?? "", ""),
  };
}

describe("a forget", () => {
  test("removes what each group's policy does not keep, and nothing of another host or tag", async () => {
    await startInProgram(lab);
    const ended = await runJob(lab, JOB, forget([group("daily", 8), group(ODD, 1), group("none", 3)]));
    expect(ended).toMatchObject({ status: "succeeded", error: null });
    expect(ended?.result).toEqual({
      kind: "forget",
      groups: [
        { source_group: "daily", kept: 8, removed: 4, error: null },
        { source_group: ODD, kept: 1, removed: 1, error: null },
        { source_group: "none", kept: 0, removed: 0, error: null },
      ],
    });
    expect(await idsOf(HOST, "daily")).toHaveLength(8);
    expect(await idsOf("web-2", "daily")).toHaveLength(2);
    const types = lab.server.committed.filter((event) => event.type !== "log.stream").map(({ type }) => type);
    expect(types).toEqual(["job.started", "snapshots.report", "repo.stats", "job.finished"]);
    expect(lab.server.all("snapshots.report")[0]?.snapshots).toHaveLength(9);
    expect(lab.server.all("repo.stats")[0]).toMatchObject({ job_id: JOB, snapshot_count: 11, locks: [] });
  });

  test("leaves a group alone of which too much would go, and sees to the others", async () => {
    await startInProgram(lab);
    const ended = await runJob(lab, JOB, forget([group("daily", 1), group(ODD, 1)]));
    expect(ended).toMatchObject({ status: "warning", error: { code: "forget.too_many" } });
    expect(ended?.result).toMatchObject({
      groups: [
        {
          kept: 12,
          removed: 0,
          error: { code: "forget.too_many", message: expect.stringContaining("11 of 12") },
        },
        { kept: 1, removed: 1, error: null },
      ],
    });
  });

  test("removes a large share that was confirmed", async () => {
    await startInProgram(lab);
    const ended = await runJob(lab, JOB, forget([group("daily", 1)], { confirmed: true }));
    expect(ended).toMatchObject({ status: "succeeded", result: { groups: [{ kept: 1, removed: 11 }] } });
  });

  test("refuses a policy that keeps nothing", async () => {
    await startInProgram(lab);
    const groups = [{ source_group: "daily", policy: { keep_within: "0d" } }];
    const ended = await runJob(lab, JOB, forget(groups, { confirmed: true }));
    expect(ended).toMatchObject({ status: "failed", error: { code: "forget.empty_policy" } });
    expect(await idsOf(HOST, "daily")).toHaveLength(12);
  });

  test("of a repository that is not there fails at once", async () => {
    lab.server.config = undefined;
    const gone = { location: join(lab.dir, "gone"), password: "x", rest_username: null, rest_password: null };
    lab.server.config = { type: "config.update", version: 2, repository: gone };
    await startInProgram(lab);
    expect(await runJob(lab, JOB, forget([group("daily", 1)]))).toMatchObject({
      status: "failed",
      error: { code: "restic.repository_missing" },
    });
  });

  test("that is cancelled ends its restic, leaves the other groups, and the list is read afterwards", async () => {
    const gate = await createGate();
    await startInProgram(lab, { ...lab.config, restic_path: gate.path });
    await lab.server.until(() => lab.server.hellos.length > 0, "the agent");
    const spec = forget([group("daily", 8), group(ODD, 1)]);
    lab.server.send({ type: "command.run", job_id: JOB, attempt: 1, spec });
    await gate.reached();
    lab.server.send({ type: "command.cancel", job_id: JOB });
    expect(await endOf(lab, JOB)).toMatchObject({ status: "cancelled" });
    await lab.server.until(() => lab.server.all("snapshots.report").length > 0, "the list");
    expect(lab.server.all("snapshots.report")[0]?.snapshots).toHaveLength(14);
  });

  test("goes on where it was when the agent is killed and starts again", async () => {
    const gate = await createGate();
    lab.config.restic_path = gate.path;
    lab.server.commands = [
      { type: "command.run", job_id: JOB, attempt: 1, spec: forget([group(ODD, 1), group("daily", 8)]) },
    ];
    const first = await startProgram(lab);
    await gate.reached();
    await killProgram(first);
    await gate.open();
    await startProgram(lab);
    expect(await endOf(lab, JOB)).toMatchObject({
      status: "succeeded",
      result: {
        groups: [
          { kept: 1, removed: 1 },
          { kept: 8, removed: 4 },
        ],
      },
    });
  });
});
