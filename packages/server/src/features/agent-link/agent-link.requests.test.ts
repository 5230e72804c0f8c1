/** Questions to agents: each is answered by the host that was asked, given up in time, and then forgotten. */
import type { FsEntries, ServerMessage, TreePage } from "@restic-manager/protocol";
import { FakeClock } from "@restic-manager/testkit";
import { beforeEach, describe, expect, it } from "vitest";
import { AgentRequests } from "./agent-link.requests.ts";

let clock: FakeClock;
let requests: AgentRequests;
beforeEach(() => {
  clock = new FakeClock();
  requests = new AgentRequests(clock);
});

const folder = (request_id: string) =>
  ({ type: "fs.list", request_id, path: "/", after: null, limit: 1 }) as const;
const ask = (id: string, hostId = "H1") => requests.ask({ hostId, question: folder(id), send: () => true });
const answerOf = (id: string): FsEntries => {
  return { type: "fs.entries", request_id: id, entries: [], more: false, error: null };
};

describe("a question to an agent", () => {
  it("gets the answer of its own id, in whatever order answers come", async () => {
    const [first, second] = [ask("R1"), ask("R2")];
    requests.answer("H1", answerOf("R2"));
    requests.answer("H1", answerOf("R1"));
    expect((await first).request_id).toBe("R1");
    expect((await second).request_id).toBe("R2");
    expect(clock.sleeping).toBe(0);
  });

  it("is not answered by another host", async () => {
    const asked = ask("R1");
    requests.answer("H2", { ...answerOf("R1"), more: true });
    requests.answer("H1", answerOf("R1"));
    expect((await asked).more).toBe(false);
  });

  it("is not answered by an answer to something else", async () => {
    const asked = ask("R1");
    requests.answer("H1", {
      ...{ type: "repository.tested", request_id: "R1", outcome: "ok", error: null, duration_ms: 1 },
    });
    requests.answer("H1", answerOf("R1"));
    expect((await asked).type).toBe("fs.entries");
  });

  it("is given up after 20 seconds, and a late answer is dropped", async () => {
    const refused = expect(ask("R1")).rejects.toMatchObject({ kind: "timeout", code: "agent.no_answer" });
    await clock.advance(19_999);
    expect(clock.sleeping).toBe(1);
    await clock.advance(1);
    await refused;
    expect(() => requests.answer("H1", answerOf("R1"))).not.toThrow();
    expect(clock.sleeping).toBe(0);
  });

  it("ends with the host's connection; those to other hosts go on", async () => {
    const [gone, other] = [ask("R1"), ask("R2", "H2")];
    requests.abandon("H1");
    await expect(gone).rejects.toMatchObject({ kind: "conflict", code: "hosts.offline" });
    requests.answer("H2", answerOf("R2"));
    expect((await other).request_id).toBe("R2");
  });

  it("is refused at once when the host is not here", async () => {
    const asked = requests.ask({ hostId: "H1", question: folder("R1"), send: () => false });
    await expect(asked).rejects.toMatchObject({ code: "hosts.offline" });
    expect(clock.sleeping).toBe(0);
  });

  it("is one of 16 that may wait for one host; others wait for none of them", async () => {
    const waiting = Array.from({ length: 16 }, (_, i) => ask(`R${i}`));
    await expect(ask("R16")).rejects.toMatchObject({ code: "agent.too_many_requests" });
    const other = ask("R17", "H2");
    requests.answer("H2", answerOf("R17"));
    await other;
    for (let i = 0; i < 16; i++) requests.answer("H1", answerOf(`R${i}`));
    await Promise.all(waiting);
    const again = ask("R18");
    requests.answer("H1", answerOf("R18"));
    expect((await again).request_id).toBe("R18");
  });
});

describe("a question about a snapshot", () => {
  let sent: ServerMessage[];
  beforeEach(() => {
    sent = [];
  });
  const send = (message: ServerMessage) => sent.push(message) > 0;
  const askTree = (request_id: string, gone?: AbortSignal) => {
    const asked = { snapshot_id: "0".repeat(64), path: "/", after: null, limit: 1 };
    return requests.ask({ hostId: "H1", question: { type: "tree.list", request_id, ...asked }, send, gone });
  };
  const page = (request_id: string): TreePage => ({
    ...{ type: "tree.page", request_id, entries: [], more: false, error: null },
    index: { state: "ready", entries: 0, problem: null },
  });

  it("takes no answer of another kind", async () => {
    const asked = askTree("R1");
    requests.answer("H1", answerOf("R1"));
    requests.answer("H1", page("R1"));
    expect((await asked).index.state).toBe("ready");
    expect(sent.map(({ type }) => type)).toEqual(["tree.list"]);
  });

  it("is given up after a minute, and the agent is told", async () => {
    const refused = expect(askTree("R1")).rejects.toMatchObject({ code: "agent.no_answer" });
    await clock.advance(59_999);
    expect(sent).toHaveLength(1);
    await clock.advance(1);
    await refused;
    expect(sent[1]).toEqual({ type: "tree.cancel", request_id: "R1" });
  });

  it("that nobody waits for any more is given up at once, and the agent is told", async () => {
    const gone = new AbortController();
    const refused = expect(askTree("R1", gone.signal)).rejects.toMatchObject({ code: "agent.left" });
    gone.abort();
    await refused;
    expect(sent[1]).toEqual({ type: "tree.cancel", request_id: "R1" });
    await expect(askTree("R2", gone.signal)).rejects.toMatchObject({ code: "agent.left" });
    expect(sent).toHaveLength(2);
    expect(clock.sleeping).toBe(0);
  });

  it("is refused at once by an agent that does not know it; other questions go on", async () => {
    const [tree, other] = [askTree("R1"), ask("R2")];
    requests.refuse("H1", "tree.list");
    await expect(tree).rejects.toMatchObject({ kind: "conflict", code: "agent.too_old" });
    requests.answer("H1", answerOf("R2"));
    expect((await other).request_id).toBe("R2");
  });
});
