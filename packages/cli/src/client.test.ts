/** The client against servers that behave badly: real sockets, answers that are no API's. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Client, segment, withQuery } from "./client.ts";
import { parse } from "./job-stream.ts";
import { Problem } from "./problem.ts";

let server: Server | null = null;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((closed) => (server ? server.close(closed) : closed(undefined)));
  server = null;
});

/** A client of a server that answers so. */
async function against(answer: RequestListener): Promise<Client> {
  const started = createServer(answer);
  server = started;
  await new Promise<void>((listening) => started.listen(0, "127.0.0.1", listening));
  const { port } = started.address() as AddressInfo;
  return new Client({ url: `http://127.0.0.1:${port}`, token: "rmt_secret" }, new AbortController().signal);
}
const thing = z.object({ name: z.string() });

describe("an answer", () => {
  it("is given whole and as its schema has it; the token is in no address", async () => {
    const seen: unknown[] = [];
    const client = await against((request, reply) => {
      seen.push(request.url, request.headers.authorization);
      reply.end('{"name":"a","more":1}');
    });
    expect(await client.get("/api/things", thing, { q: "a b", none: undefined })).toEqual({
      raw: { name: "a", more: 1 },
      data: { name: "a" },
    });
    expect(seen).toEqual(["/api/things?q=a+b", "Bearer rmt_secret"]);
  });

  it.each([
    { name: "no JSON", body: "<html>", code: "cli.unexpected_answer" },
    { name: "of another shape", body: '{"name":1}', code: "cli.unexpected_answer" },
    { name: "nothing", body: "", code: "cli.unexpected_answer" },
  ])("that is $name is refused", async ({ body, code }) => {
    const client = await against((_request, reply) => void reply.end(body));
    await expect(client.get("/api/things", thing)).rejects.toMatchObject({ code, outcome: "internal" });
  });

  it("that never ends is cut", async () => {
    const client = await against((_request, reply) => {
      const more = () => {
        while (!reply.destroyed && reply.write("x".repeat(1_000_000)));
      };
      reply.on("drain", more);
      more();
    });
    await expect(client.get("/api/things", thing)).rejects.toMatchObject({ code: "cli.unexpected_answer" });
    await expect(client.lines("/api/log").next()).rejects.toMatchObject({
      code: "cli.unexpected_answer",
    });
  });

  it("that breaks off is no answer", async () => {
    const client = await against((_request, reply) => {
      reply.writeHead(200, { "content-length": "100" });
      reply.write("{");
      setImmediate(() => reply.destroy());
    });
    await expect(client.get("/api/things", thing)).rejects.toMatchObject({ outcome: "unavailable" });
  });

  it("that sends us elsewhere is not followed, so the token goes nowhere", async () => {
    const client = await against((_request, reply) => {
      reply.writeHead(301, { location: "https://evil.example/api" }).end();
    });
    await expect(client.get("/api/things", thing)).rejects.toMatchObject({
      code: "cli.redirected",
      message: expect.stringContaining("https://evil.example"),
    });
  });

  it("of an error has the server's code, sentence, fields and request id, or says that there is none", async () => {
    const details = [{ path: "name", message: "is taken" }];
    const refusal = { code: "things.taken", message: "It is taken.", request_id: "01R", details };
    const client = await against((request, reply) => {
      const isProxy = request.url === "/api/proxy";
      reply.writeHead(isProxy ? 502 : 409).end(isProxy ? "<h1>Bad gateway</h1>" : JSON.stringify(refusal));
    });
    await expect(client.post("/api/things", {}, thing)).rejects.toMatchObject({
      ...{ outcome: "conflict", code: "things.taken", message: "It is taken.", requestId: "01R", details },
    });
    await expect(client.get("/api/proxy", thing)).rejects.toMatchObject({
      outcome: "unavailable",
      code: "cli.no_reason",
    });
  });
});

describe("a server that is not there", () => {
  it("is told apart from a name that is not known", async () => {
    const gone = await against(() => undefined);
    await new Promise((closed) => server?.close(closed));
    const notThere = (says: RegExp) => ({ outcome: "unavailable", message: expect.stringMatching(says) });
    await expect(gone.get("/api/version", thing)).rejects.toMatchObject(notThere(/Nothing listens/));
    const client = new Client({ url: "http://nothing.invalid", token: "t" }, new AbortController().signal);
    await expect(client.get("/api/version", thing)).rejects.toMatchObject(notThere(/is not known/));
  });

  it("that speaks no TLS is explained", async () => {
    const plain = await against((_request, reply) => void reply.end("{}"));
    const client = new Client(
      { url: plain.url.replace("http:", "https:"), token: "t" },
      new AbortController().signal,
    );
    await expect(client.get("/api/version", thing)).rejects.toMatchObject({
      message: expect.stringMatching(/speaks no TLS/),
    });
  });
});

describe("paths", () => {
  it("take any name as one part", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        fc.pre(text !== "." && text !== "..");
        const url = new URL(`http://x/api/things/${segment(text)}/log`);
        expect(url.pathname.split("/")).toHaveLength(5);
        expect(url.search + url.hash).toBe("");
      }),
    );
    expect(withQuery("/a", { b: "", c: undefined })).toBe("/a");
  });

  it.each([".", ".."])("never have %j as a part, which would lead elsewhere", (text) => {
    expect(() => segment(text)).toThrow(Problem);
  });
});

describe("a frame of a job's stream", () => {
  it("may be anything", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (frame) => void parse(frame)));
    expect(parse('{"type":"newer"}')).toBeNull();
    expect(parse('{"type":"lagged","from":1,"to":4}')).toMatchObject({ type: "lagged", to: 4 });
  });
});
