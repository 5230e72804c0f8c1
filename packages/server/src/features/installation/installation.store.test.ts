/** What an installation says of itself: alone on SQLite, and as two replicas on PostgreSQL. */
import { connectTestAgent, startTestServer, type TestServer } from "@restic-manager/testkit";
import { afterEach, describe, expect, it } from "vitest";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0).reverse()) await server.stop();
});

async function start(options: Parameters<typeof startTestServer>[0]): Promise<TestServer> {
  const server = await startTestServer(options);
  servers.push(server);
  return server;
}
const installation = async (server: TestServer) => (await server.admin.get("/api/installation")).body;

describe("an installation", () => {
  it("of one server on SQLite is that server, which leads", async () => {
    const server = await start({ engine: "sqlite" });
    await (await connectTestAgent(server)).hello();
    const told = await installation(server);
    expect(told).toMatchObject({ database: { engine: "sqlite" }, downloads: true });
    expect(told.replicas).toMatchObject([{ is_this: true, is_leader: true, is_alive: true, agents: 1 }]);
  });

  it("of two replicas on PostgreSQL names both, one of them leads, and each knows the other's agents", async () => {
    const a = await start({ engine: "postgres" });
    const b = await start({ beside: a });
    await (await connectTestAgent(b)).hello();
    const agentsByReplica = async (server: TestServer) => {
      const { replicas } = (await installation(server)) as {
        replicas: { is_this: boolean; agents: number }[];
      };
      return replicas.map(({ is_this, agents }) => [is_this, agents]);
    };
    await a.until("a knows of b's agent", async () =>
      (await agentsByReplica(a)).some(([isThis, agents]) => !isThis && agents === 1),
    );
    expect(await agentsByReplica(a)).toEqual([
      [true, 0],
      [false, 1],
    ]);
    expect(await agentsByReplica(b)).toEqual([
      [true, 1],
      [false, 0],
    ]);
    const told = (await installation(a)) as { replicas: { is_leader: boolean }[] };
    expect(told.replicas.filter(({ is_leader }) => is_leader)).toHaveLength(1);
  });

  it("is shown on its page to whoever has signed in, and to nobody else", async () => {
    const server = await start({ engine: "sqlite" });
    const page = await server.admin.get("/settings/server");
    expect(page.text).toContain("This installation");
    expect((await server.anonymous().get("/api/installation")).status).toBe(401);
  });
});
