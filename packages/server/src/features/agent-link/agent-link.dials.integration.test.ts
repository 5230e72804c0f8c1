/** A whole fleet dials from one address, as behind a proxy or NAT after the server was restarted. */
import { enrolTestAgent, startTestServer } from "@restic-manager/testkit";
import { expect, it } from "vitest";

/** Above what the server takes in a minute from one browser's address. */
const dials = 1300;

it("takes more dials from one address than it takes requests of a browser", async () => {
  const server = await startTestServer();
  const { bearer } = await enrolTestAgent(server);
  const answers = new Set<number>();
  for (let i = 0; i < dials; i++) {
    const answer = await server.anonymous().get("/ws/agent", { authorization: `Bearer ${bearer}` });
    answers.add(answer.status);
  }
  await server.stop();
  expect([...answers]).toEqual([426]);
}, 30_000);
