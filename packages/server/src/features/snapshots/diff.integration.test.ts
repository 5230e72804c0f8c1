/** Comparing two snapshots through the whole server: the wish, its refusals, a hundred thousand changes, and the page. */
import type { DiffResult } from "@restic-manager/protocol";
import {
  ackOf,
  connectTestAgent,
  find,
  finishedOf,
  linesOf,
  logOf,
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

const [from, to, foreign] = ["a".repeat(64), "b".repeat(64), "c".repeat(64)] as const;

let server: TestServer;
let agent: TestAgent;
let seq: number;
beforeEach(async () => {
  server = await startTestServer();
  agent = await connectTestAgent(server, { name: "db-01", initialPaths: ["/srv"] });
  await agent.hello();
  seq = 0;
  await finish(await agent.nextMessage("command.run"));
  const older = snapshotOf(from, { time: "2026-11-20T03:00:00.000Z" });
  agent.send(reportOf(++seq, [older, snapshotOf(to, { time: "2026-11-22T03:00:00.000Z" })]));
  await agent.acknowledged(seq);
});
afterEach(() => server.stop());

type Run = { job_id: string; attempt: number };

async function finish(command: Run, more: Parameters<typeof finishedOf>[2] = {}): Promise<void> {
  agent.send(ackOf(command));
  agent.send(startedOf(command, ++seq));
  agent.send(finishedOf(command, ++seq, more));
  await agent.acknowledged(seq);
}

const url = () => `/api/hosts/${agent.hostId}/snapshots/diff`;
const diff = (body: object) => server.admin.post(url(), body);

const resultOf = (more: Partial<DiffResult> = {}): DiffResult => ({
  ...{ kind: "diff", added: { count: 0, bytes: 0 }, removed: { count: 0, bytes: 0 } },
  ...{ changed: { count: 0, bytes: 0 }, metadata: 0, sized: true, ...more },
});

/** Runs a comparison whose log has these lines. */
async function compared(texts: readonly string[], result: DiffResult = resultOf()): Promise<string> {
  expect((await diff({ from, to })).status).toBe(202);
  const command = await agent.nextMessage("command.run");
  agent.send(ackOf(command));
  agent.send(startedOf(command, ++seq));
  for (let at = 0; at < texts.length; at += 2000) {
    const part = texts.slice(at, at + 2000);
    agent.send(
      logOf(
        command,
        ++seq,
        linesOf(at + 1, at + part.length, (n) => texts[n - 1] ?? ""),
      ),
    );
    if (at % 20_000 === 0) await agent.acknowledged(seq);
  }
  agent.send(finishedOf(command, ++seq, { result, log_lines: texts.length }));
  await agent.acknowledged(seq);
  return command.job_id;
}

describe("a comparison of two snapshots", () => {
  it("is a job of the host, in the audit trail, and can be run again", async () => {
    const accepted = await diff({ from, to });
    expect(accepted.status, accepted.text).toBe(202);
    const command = await agent.nextMessage("command.run");
    expect(command).toMatchObject({ job_id: accepted.body.job_id, spec: { kind: "diff", from, to } });
    expect(command.access).toBeUndefined();
    await finish(command, { result: resultOf({ metadata: 3 }) });
    const { entries } = (await server.admin.get("/api/audit?action=job.create")).body;
    expect(JSON.stringify(entries)).toContain(command.job_id);
    expect((await server.admin.form(`/jobs/${command.job_id}/run-again`, {})).status).toBe(303);
    expect((await agent.nextMessage("command.run")).spec).toEqual(command.spec);
  });

  it.each([
    [{ from, to: from }, 422, "snapshots.same"],
    [{ from, to: foreign }, 422, "snapshots.not_found"],
    [{ from: "latest", to }, 422, "snapshots.not_found"],
    [{ from: from.slice(0, 8), to }, 422, "snapshots.not_found"],
    [{ from }, 400, "request.invalid"],
    [{ from: 7, to }, 400, "request.invalid"],
    [{ from: "x".repeat(65), to }, 400, "request.invalid"],
    [{ from, to, host: "x" }, 400, "request.invalid"],
  ])("of %j is refused with %d %s", async (body, status, code) => {
    const refused = await diff(body);
    expect([refused.status, refused.body.code]).toEqual([status, code]);
    expect(refused.body.message).not.toBe("");
  });

  it("on a host that is away is refused at once", async () => {
    await agent.drop();
    await server.clock.advance(120_000);
    const refused = await diff({ from, to });
    expect([refused.status, refused.body.code]).toEqual([409, "hosts.offline"]);
  });

  it("is not for viewers, its changes are", async () => {
    const id = await compared(["+ - 1 - 644 /x"]);
    const viewer = await server.signIn("viewer");
    expect((await viewer.post(url(), { from, to })).status).toBe(403);
    expect((await viewer.get(`/api/jobs/${id}/diff`)).status).toBe(200);
    expect((await viewer.get(`/jobs/${id}/diff`)).status).toBe(200);
  });

  it("of another kind of job does not exist", async () => {
    const accepted = await server.admin.post(`/api/hosts/${agent.hostId}/jobs`, { kind: "check" });
    expect((await server.admin.get(`/api/jobs/${accepted.body.job_id}/diff`)).body.code).toBe(
      "snapshots.no_diff",
    );
    expect((await server.admin.get(`/jobs/${accepted.body.job_id}/diff`)).status).toBe(404);
  });
});

describe("the changes", () => {
  const hundredThousand = () =>
    Array.from({ length: 100_000 }, (_, n) => {
      if (n % 1000 === 999) return `- ${n} - 644 - /srv/Gone/${n}`;
      return `+ - ${n} - 644 /srv/new/${n}`;
    });

  it("of a hundred thousand are paged, filtered by kind and by a part of the path, and complete", async () => {
    const id = await compared(
      hundredThousand(),
      resultOf({ added: { count: 99_900, bytes: 1 }, removed: { count: 100, bytes: 1 } }),
    );
    const get = async (query: string) => (await server.admin.get(`/api/jobs/${id}/diff${query}`)).body;
    expect(await get("?limit=2&offset=99998")).toMatchObject({
      ...{ total: 100_000, matching: 100_000 },
      changes: [
        { path: "/srv/new/99998" },
        { path: "/srv/Gone/99999", kind: "removed", size_before: 99_999 },
      ],
    });
    const removed = await get("?kind=removed&limit=1000");
    expect(removed).toMatchObject({ matching: 100, changes: { length: 100 } });
    expect((await get("?text=gone/19999")).changes).toMatchObject([{ path: "/srv/Gone/19999" }]);
    expect((await get("?text=nowhere")).matching).toBe(0);
    const page = parseHtml((await server.admin.get(`/jobs/${id}/diff?kind=removed&page=1`)).text);
    expect(page.querySelectorAll("table.differences tbody tr")).toHaveLength(100);
    const last = parseHtml((await server.admin.get(`/jobs/${id}/diff?page=500`)).text);
    expect(last.querySelectorAll("table.differences tbody tr")).toHaveLength(200);
    expect(textOf(find(last, ".pages"))).toContain("99,801–100,000 of 100,000 changes");
    expect(find(last, '.pages a[rel="prev"]').getAttribute("href")).toBe(`/jobs/${id}/diff?page=499`);
  }, 60_000);

  it("with hostile names are text, on the page and in the answer", async () => {
    const name = '/srv/<script>alert(1)</script> \\x1b[31m \\n "quote"';
    const id = await compared([`M 1 2 644 600 ${name}`], resultOf({ changed: { count: 1, bytes: 2 } }));
    const { text } = await server.admin.get(`/jobs/${id}/diff?text=${encodeURIComponent("<script>")}`);
    expect(text).not.toContain("<script>alert");
    const row = find(parseHtml(text), "table.differences tbody tr");
    expect(textOf(row)).toContain(name);
    expect(textOf(row)).toContain("0644 → 0600");
    const { changes } = (await server.admin.get(`/api/jobs/${id}/diff`)).body;
    expect(changes).toMatchObject([{ path: name, mode_before: "0644", mode_after: "0600" }]);
  });

  it("that the log lost are missed in words, and so is a log that does not know sizes", async () => {
    const lost = await compared(["+ - 1 - 644 /x"], resultOf({ added: { count: 3, bytes: 9 } }));
    expect(textOf(parseHtml((await server.admin.get(`/jobs/${lost}/diff`)).text))).toContain(
      "2 changes of 3 can’t be shown",
    );
    const unsized = await compared(
      ["+ - - - - /x"],
      resultOf({ added: { count: 1, bytes: 0 }, sized: false }),
    );
    expect(textOf(parseHtml((await server.admin.get(`/jobs/${unsized}/diff`)).text))).toContain(
      "first 100,000",
    );
  });

  it("of snapshots that are alike are none, and the page says so", async () => {
    const id = await compared([]);
    expect(textOf(parseHtml((await server.admin.get(`/jobs/${id}/diff`)).text))).toContain(
      "The snapshots do not differ",
    );
    expect((await server.admin.get(`/jobs/${id}`)).text).toContain(`/jobs/${id}/diff`);
  });

  it("are waited for while the job runs", async () => {
    await diff({ from, to });
    const command = await agent.nextMessage("command.run");
    const page = parseHtml((await server.admin.get(`/jobs/${command.job_id}/diff?kind=added`)).text);
    expect(find(page, "#diff-live").getAttribute("data-live-src")).toBe(
      `/fragments/jobs/${command.job_id}/diff?kind=added`,
    );
    expect((await server.admin.get(`/fragments/jobs/${command.job_id}/diff`)).text).toContain("Comparing");
  });
});

describe("choosing two snapshots", () => {
  const page = () => `/hosts/${agent.hostId}/diff`;

  it("offers the newest and the one before it, reached from the host's snapshots", async () => {
    expect((await server.admin.get(`/hosts/${agent.hostId}`)).text).toContain(`href="${page()}"`);
    const root = parseHtml((await server.admin.get(page())).text);
    const chosen = (name: string) => find(root, `#field-${name} option[selected]`).getAttribute("value");
    expect([chosen("from"), chosen("to")]).toEqual([from, to]);
  });

  it("leads to what differs", async () => {
    const answer = await server.admin.form(page(), { from, to });
    const command = await agent.nextMessage("command.run");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `/jobs/${command.job_id}/diff`]);
  });

  it("keeps what was chosen when it can't be compared", async () => {
    const answer = await server.admin.form(page(), { from: to, to });
    expect(answer.status).toBe(422);
    const root = parseHtml(answer.text);
    expect(find(root, "#field-from option[selected]").getAttribute("value")).toBe(to);
    expect(textOf(find(root, '[role="alert"]'))).toContain("one snapshot twice");
  });
});
