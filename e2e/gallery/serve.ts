/** Serves every view with canned data under the product's own security policy. Nothing of this ships. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { WebSocketServer } from "ws";
import type { PageContext, Theme } from "../../packages/server/src/platform/html/scope.ts";
import { FAILED_LINES, NOW } from "./data.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const assetDir = join(here, "../../packages/server/dist/assets");
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'";

interface Views {
  VIEWS: Readonly<Record<string, (page: PageContext) => string>>;
  FRAGMENTS: Readonly<Record<string, (page: PageContext, query: URLSearchParams) => string>>;
  /** JSON that a page asks for. */
  answerWizard(url: URL): object | undefined;
}

/** Node runs TypeScript but not JSX: the views are bundled first. */
async function loadViews(): Promise<Views> {
  const outfile = join(here, "../../build/gallery/views.mjs");
  await build({
    entryPoints: [join(here, "views.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    jsx: "automatic",
    jsxImportSource: "preact",
  });
  const loaded: Views = await import(`${pathToFileURL(outfile).href}`);
  return loaded;
}

function contextOf(assets: PageContext["assets"], url: URL): PageContext {
  const theme: Theme = url.searchParams.get("theme") === "light" ? "light" : "dark";
  return {
    user: { name: "operator", role: "admin" },
    theme,
    version: "0.1.0",
    database: "SQLite",
    csrfToken: "csrf",
    now: NOW,
    assets,
    path: url.pathname,
  };
}

async function answer(
  views: Views,
  assets: PageContext["assets"],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://gallery");
  const view = views.VIEWS[url.pathname.slice(1)] ?? views.FRAGMENTS[url.pathname];
  if (view !== undefined) {
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": POLICY,
    });
    response.end(view(contextOf(assets, url), url.searchParams));
    return;
  }
  const json = views.answerWizard(url);
  if (json !== undefined) {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(json));
    return;
  }
  const file = url.pathname.startsWith("/assets/") ? url.pathname.slice("/assets/".length) : "";
  if (!/^[\w.-]+$/.test(file)) {
    response.writeHead(204).end();
    return;
  }
  const types: Record<string, string> = {
    css: "text/css",
    js: "text/javascript",
    svg: "image/svg+xml",
    woff2: "font/woff2",
  };
  response.writeHead(200, {
    "content-type": types[file.split(".").pop() ?? ""] ?? "application/octet-stream",
  });
  response.end(await readFile(join(assetDir, file)));
}

function sendLog(socket: { send(text: string): void }, url: string): void {
  const from = Number(new URL(url, "http://gallery").searchParams.get("from") ?? 1);
  const finished = url.includes("BB") || url.includes("CC");
  const many = url.includes("CC") ? 100_000 : url.includes("AA") ? 500 : FAILED_LINES.length;
  const lines = Array.from({ length: many }, (_, index) => ({
    ...FAILED_LINES[index % FAILED_LINES.length],
    n: index + 1,
  })).slice(from - 1);
  for (let start = 0; start < lines.length; start += 2000) {
    socket.send(
      JSON.stringify({ type: "log", first: from + start, lines: lines.slice(start, start + 2000) }),
    );
  }
  if (finished) socket.send(JSON.stringify({ type: "end" }));
}

/** A gallery that is being served. */
export interface Gallery {
  origin: string;
  /** The names of the views; each is a path below the origin. */
  names: string[];
  close(): void;
}

/** Serves on a free port of the loopback. The assets MUST have been built. */
export async function serveGallery(): Promise<Gallery> {
  const views = await loadViews();
  const assets: PageContext["assets"] = JSON.parse(await readFile(join(assetDir, "manifest.json"), "utf8"));
  const server = createServer((request, response) => {
    answer(views, assets, request, response).catch((cause: unknown) => {
      response.writeHead(500).end(String(cause));
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => sendLog(socket, request.url ?? "/"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    sockets.close();
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${port}`, names: Object.keys(views.VIEWS), close };
}
