/** Two machines with one identity, as after cloning a virtual machine: named and refused, never a war. */
import { connectTestAgent, startTestServer, type TestAgent, type TestServer } from "@restic-manager/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getHost, twinOf } from "../hosts/hosts.ts";

let server: TestServer;
let original: TestAgent;

beforeEach(async () => {
  server = await startTestServer();
  original = await connectTestAgent(server);
  await original.hello({ machine_id: "machine", boot_id: "boot of the original" });
});
afterEach(() => server.stop());

/** The same bearer and stream on another machine: what a copied disk has. */
async function dialCopy(): Promise<TestAgent> {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(original)), original) as TestAgent;
  Object.assign(copy, { waiters: [], taken: new Set(), received: [] });
  await copy.dial();
  return copy;
}

const audited = async () => {
  const { body } = await server.admin.get("/api/audit?action=host.twin_refused");
  return (body as { entries: unknown[] }).entries.length;
};

describe("a copy of a connected machine", () => {
  it("is refused with a sentence that says what to do, and the original stays connected", async () => {
    const copy = await dialCopy();
    const hello = { machine_id: "machine", boot_id: "boot of the copy", hostname: "web-01-clone" };
    expect(await copy.tryHello(hello)).toMatchObject({
      type: "reject",
      code: "link.twin",
      message: expect.stringContaining("enrol"),
    });
    expect((await copy.closed()).code).toBe(4400);
    await server.admin.post(`/api/hosts/${original.hostId}/jobs`, { kind: "init" });
    await original.nextMessage("command.run");
    const host = await getHost(server.db, original.hostId);
    expect(twinOf(host, server.clock.now())).toMatchObject({
      hostname: "web-01-clone",
      bootId: "boot of the copy",
    });
  });

  it("is audited once however often it tries, and forgotten when it stops trying", async () => {
    for (let attempt = 0; attempt < 3; attempt++) {
      const copy = await dialCopy();
      await copy.tryHello({ boot_id: "boot of the copy", machine_id: "machine" });
      await copy.closed();
    }
    expect(await audited()).toBe(1);
    const host = await getHost(server.db, original.hostId);
    expect(twinOf(host, server.clock.now() + 16 * 60_000)).toBeNull();
  });

  it("does not get in by keeping its ids to itself", async () => {
    const copy = await dialCopy();
    expect(await copy.tryHello({ machine_id: null, boot_id: null })).toMatchObject({ code: "link.twin" });
  });

  it("is recognised by its machine id as well", async () => {
    const copy = await dialCopy();
    expect(await copy.tryHello({ machine_id: "another", boot_id: "boot of the original" })).toMatchObject({
      code: "link.twin",
    });
  });
});

describe("the same machine", () => {
  it("that restarted its agent takes its place at once", async () => {
    const again = await dialCopy();
    const answer = await again.tryHello({ machine_id: "machine", boot_id: "boot of the original" });
    expect(answer.type).toBe("welcome");
    expect((await original.closed()).code).toBe(4409);
    expect(await audited()).toBe(0);
  });

  it("that rebooted takes its place, because its old connection is silent", async () => {
    // A half-open connection: the machine behind it is gone and answers nothing any more.
    original.socket.pause();
    const again = await dialCopy();
    const answer = again.tryHello({ machine_id: "machine", boot_id: "the next boot" });
    let answered = false;
    void answer.finally(() => {
      answered = true;
    });
    await server.until("the old connection is given up", () => answered, 1000);
    expect((await answer).type).toBe("welcome");
  });
});
