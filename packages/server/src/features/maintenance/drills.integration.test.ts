/** Restore drills through the whole server: asked for by page and API, sent to the agent, and what is shown afterwards. */
import type { VerifyResult } from "@restic-manager/protocol";
import {
  ackOf,
  connectTestAgent,
  find,
  finishedOf,
  parseHtml,
  reportOf,
  snapshotOf,
  startedOf,
  startTestServer,
  type TestAgent,
  type TestServer,
  textOf,
} from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let server: TestServer;
let agent: TestAgent;
let seq: number;
beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv"] });
  await agent.hello();
  seq = 0;
  await finish(await agent.nextMessage("command.run"));
});
afterEach(() => server.stop());

async function finish(
  command: { job_id: string; attempt: number },
  more: Parameters<typeof finishedOf>[2] = {},
): Promise<void> {
  agent.send(ackOf(command));
  agent.send(startedOf(command, ++seq));
  agent.send(finishedOf(command, ++seq, more));
  await agent.acknowledged(seq);
}

async function backedUp(): Promise<void> {
  agent.send(reportOf(++seq, [snapshotOf("a".repeat(64))]));
  await agent.acknowledged(seq);
}

const host = (path = "") => `/hosts/${agent.hostId}${path}`;
const run = (body: object) => server.admin.post(`/api${host("/jobs")}`, body);
const resultOf = (more: Partial<VerifyResult> = {}): VerifyResult => ({
  ...{ kind: "verify", snapshot_id: "a".repeat(64), snapshot_time: "2026-11-23T03:00:00.000Z", seed: 42 },
  ...{ files: 3, bytes: 4096, source_files: 2, left_out: 0, mismatch_count: 0, mismatches: [], ...more },
});

describe("a restore drill", () => {
  it("is sent with the bounds of the repository, and its proof is shown on host, repository and dashboard", async () => {
    await backedUp();
    const accepted = await run({ kind: "verify", seed: 42 });
    expect(accepted.status, accepted.text).toBe(202);
    const command = await agent.nextMessage("command.run");
    expect(command.spec).toEqual({
      ...{ kind: "verify", host_name: "db-01", source_group: "default", seed: 42 },
      ...{ max_files: 100, max_bytes: 256 * 1024 * 1024 },
    });
    expect(command.access).toBeUndefined();
    await finish(command, { result: resultOf() });
    const job = (await server.admin.get(`/api/jobs/${command.job_id}`)).body;
    expect(job).toMatchObject({
      status: "succeeded",
      source_group: "default",
      result: { seed: 42, files: 3 },
    });
    const page = parseHtml((await server.admin.get(host())).text);
    expect(find(page, `#host-drill a[href="/jobs/${command.job_id}"]`).text).not.toBe("");
    expect(textOf(find(page, "#host-drill"))).toContain("3 files, 4.00 KiB");
    const dashboard = parseHtml((await server.admin.get("/")).text);
    expect(textOf(find(dashboard, "#fleet-drills"))).toContain("Restore proven on 1 of 1 host");
    expect((await server.admin.get("/api/fleet/summary")).body).toMatchObject({ restore_proven: 1 });
    const repository = (await server.admin.get(`/api${host("/repository")}`)).body;
    expect(repository.cadences).toMatchObject([
      {},
      {},
      {},
      { operation: "verify", last_run: { status: "succeeded" } },
    ]);
  });

  it("that found wrong files names them on its page, as text, and proves nothing", async () => {
    await backedUp();
    await run({ kind: "verify" });
    const command = await agent.nextMessage("command.run");
    const path = "/srv/<script>alert(1)</script> \u001b[31m";
    const mismatches: VerifyResult["mismatches"] = [{ path, problem: "mode" }];
    const error = { code: "verify.mismatch", message: "1 of 3 files did not come back.", last_lines: [] };
    await finish(command, { status: "failed", error, result: resultOf({ mismatch_count: 1, mismatches }) });
    const { text } = await server.admin.get(`/jobs/${command.job_id}`);
    expect(text).not.toContain("<script>alert");
    expect(textOf(find(parseHtml(text), "#job-mismatches"))).toContain(
      "/srv/<script>alert(1)</script> \\x1b[31mhas another mode",
    );
    expect((await server.admin.get("/api/fleet/summary")).body).toMatchObject({ restore_proven: 0 });
    expect(textOf(find(parseHtml((await server.admin.get(host())).text), "#host-drill"))).toContain(
      "files are wrong",
    );
  });

  it("is run from the host's page and again from the job's, with other files each time", async () => {
    await backedUp();
    const answer = await server.admin.form(host("/verify"), {});
    const first = await agent.nextMessage("command.run");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `/jobs/${first.job_id}`]);
    await finish(first, { result: resultOf() });
    expect((await server.admin.form(`/jobs/${first.job_id}/run-again`, {})).status).toBe(303);
    const second = await agent.nextMessage("command.run");
    expect(second.spec).toMatchObject({ kind: "verify", source_group: "default" });
    expect(second.spec).not.toEqual(first.spec);
  });

  it("of a host that has no snapshot is refused with a sentence, by API and page", async () => {
    const refused = await run({ kind: "verify" });
    expect([refused.status, refused.body.code]).toEqual([409, "maintenance.nothing_to_verify"]);
    const page = await server.admin.form(host("/verify"), {});
    expect(page.status).toBe(409);
    expect(textOf(parseHtml(page.text))).toContain("Back it up first");
  });

  it.each([{ seed: -1 }, { seed: 2 ** 32 }, { seed: 1.5 }, { source_group_id: 7 }, { max_files: 5 }])(
    "with %j is refused",
    async (more) => {
      await backedUp();
      expect((await run({ kind: "verify", ...more })).status).toBe(400);
    },
  );

  it("is not for viewers", async () => {
    await backedUp();
    const viewer = await server.signIn("viewer");
    expect((await viewer.post(`/api${host("/jobs")}`, { kind: "verify" })).status).toBe(403);
    expect((await viewer.form(host("/verify"), {})).status).toBe(403);
    expect((await viewer.get(host())).text).not.toContain(`action="${host("/verify")}"`);
  });
});

describe("the cadence of restore drills", () => {
  const url = () => `/api${host("/repo-maintenance")}`;
  const draft = { forget_cron: null, prune_cron: null, check_cron: null };

  it("is off, is switched on by API, and stays off for a client that does not know it", async () => {
    expect((await server.admin.get(url())).body).toMatchObject({
      ...{ verify_cron: null, verify_files: 100, verify_bytes: 268_435_456 },
    });
    const on = { ...draft, verify_cron: "0 6 * * 6", verify_files: 5, verify_bytes: 1000 };
    expect((await server.admin.put(url(), { ...on, version: 0 })).body).toMatchObject({ ...on, version: 1 });
    expect((await server.admin.put(url(), { ...draft, version: 1 })).body).toMatchObject({
      verify_cron: null,
    });
  });

  it("and its bounds are set in the form, and kept as typed when they are refused", async () => {
    const fields = { time_zone: "UTC", max_removed_percent: "50", check_depth: "structure" };
    const drill = { verify_on: "on", verify_cron: "0 6 * * 6", verify_files: "20", verify_mib: "0.5" };
    const saved = await server.admin.form(host("/maintenance"), { ...fields, ...drill });
    expect(saved.status, saved.text).toBe(303);
    expect((await server.admin.get(url())).body).toMatchObject({
      ...{ verify_cron: "0 6 * * 6", verify_files: 20, verify_bytes: 524_288 },
    });
    const wrong = { ...drill, verify_files: "many", verify_mib: "0" };
    const refused = await server.admin.form(host("/maintenance"), { ...fields, ...wrong, version: "1" });
    expect(refused.status).toBe(422);
    const root = parseHtml(refused.text);
    expect(find(root, "#field-verify_files").getAttribute("value")).toBe("many");
    expect(textOf(find(root, "#field-verify_files-error"))).toContain("Between 1 and 10,000");
    expect(textOf(find(root, "#field-verify_mib-error"))).toContain("up to 1 TiB");
  });
});
