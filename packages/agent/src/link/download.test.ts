import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AgentFakeClock } from "../../../testkit/src/agent-clock.ts";
import { type Download, type DownloadEnd, download, releaseUrl } from "./download.ts";
import { createNetwork } from "./network.ts";

/** Wakes whoever sleeps at once, and keeps what it was asked for. */
class ImpatientClock extends AgentFakeClock {
  readonly asked: number[] = [];

  override sleep(ms: number): Promise<void> {
    this.asked.push(ms);
    return Promise.resolve();
  }
}

let folder: string;
let path: string;
let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let clock: ImpatientClock;
let said: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-download-"));
  path = join(folder, "file");
  clock = new ImpatientClock();
  said = [];
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const whole = (body: string) => (_request: IncomingMessage, response: ServerResponse) =>
  void response.writeHead(200, { "content-length": body.length }).end(body);

function fetchFile(wishes: Partial<Download> = {}): Promise<DownloadEnd> {
  const network = createNetwork({ env: {}, caFile: null, certPin: null });
  return download(
    { clock, server: url(), network },
    {
      ...{
        name: "a file",
        sha256: "0".repeat(64),
        path,
        maxBytes: 1000,
        signal: new AbortController().signal,
      },
      findNoRoom: () => Promise.resolve(undefined),
      onProgress: () => undefined,
      onTrouble: async (sentence) => void said.push(sentence),
      ...wishes,
    },
  );
}

describe("a download", () => {
  it("is asked for below the server's address, and writes the file", async () => {
    let asked: string | undefined;
    answer = (request, response) => {
      asked = request.url;
      whole("content")(request, response);
    };
    expect(await fetchFile()).toEqual({ kind: "done", sizeBytes: 7 });
    expect(asked).toBe("/install/a%20file");
    expect(await readFile(path, "utf8")).toBe("content");
    expect(releaseUrl("https://example.org/backup/", "x").href).toBe("https://example.org/backup/install/x");
  });

  it("is given up before a byte is written when it is larger than such a file can be", async () => {
    answer = (_request, response) => void response.writeHead(200, { "content-length": 1001 }).write("#");
    expect(await fetchFile()).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("1001 bytes"),
    });
    await expect(readFile(path)).rejects.toThrow("ENOENT");
  });

  it("is given up when the server does not say how large it is", async () => {
    answer = (_request, response) => void response.writeHead(200).end("content");
    expect(await fetchFile()).toMatchObject({ kind: "failed", reason: expect.stringContaining("how large") });
  });

  it("is given up when there is no room, and says why", async () => {
    answer = whole("content");
    const findNoRoom = (missing: number, total: number) => Promise.resolve(`${missing} of ${total}`);
    expect(await fetchFile({ findNoRoom })).toEqual({ kind: "no_room", message: "7 of 7" });
  });

  it("follows no redirect", async () => {
    answer = (_request, response) => void response.writeHead(302, { location: url() }).end();
    expect(await fetchFile()).toMatchObject({ kind: "failed", reason: "HTTP 302" });
  });

  it("is given up after eight tries without a byte, each after a longer wait, and says so once", async () => {
    let tries = 0;
    answer = (request) => {
      tries += 1;
      request.socket.destroy();
    };
    expect(await fetchFile()).toMatchObject({ kind: "failed" });
    expect(tries).toBe(8);
    expect(clock.asked).toEqual([...clock.asked].sort((a, b) => a - b));
    expect(clock.asked.reduce((sum, ms) => sum + ms)).toBeLessThan(180_000);
    expect(said).toHaveLength(1);
  });

  it("begins anew when what is there is no beginning of the file", async () => {
    await writeFile(path, "longer than the content");
    answer = (request, response) => {
      if (request.headers.range === undefined) whole("content")(request, response);
      else response.writeHead(416).end();
    };
    expect(await fetchFile()).toEqual({ kind: "done", sizeBytes: 7 });
    expect(await readFile(path, "utf8")).toBe("content");
  });

  it("takes no part that it did not ask for", async () => {
    await writeFile(path, "con");
    answer = (_request, response) =>
      void response.writeHead(206, { "content-length": 4, "content-range": "bytes 2-5/7" }).end("nten");
    expect(await fetchFile()).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("another part"),
    });
    expect(await readFile(path, "utf8")).toBe("con");
  });

  it("ends when it is aborted", async () => {
    const stop = new AbortController();
    answer = (_request, response) => {
      response.writeHead(200, { "content-length": 500 }).write("#");
    };
    expect(await fetchFile({ signal: stop.signal, onProgress: () => stop.abort() })).toEqual({
      kind: "aborted",
    });
  });
});
