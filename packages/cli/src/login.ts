/**
 * Which server, and the token for it: from RM_SERVER and RM_API_TOKEN, else from the file that `rmctl login` wrote. A stored
 * token is only ever sent to the server that it was stored with.
 */
import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { World } from "./platform/world.ts";
import { Problem, usageProblem } from "./problem.ts";

/** A server and the token to use with it. */
export interface Login {
  /** Scheme, host and port. */
  url: string;
  token: string;
}

const stored = z.object({ url: z.string().max(2048), token: z.string().max(4096) });
const maxFileBytes = 64 * 1024;

/** Where the login is kept: only its owner may read it. */
export function loginFile(world: Pick<World, "env" | "home" | "platform">): string {
  const { env, home, platform } = world;
  const folder =
    platform === "win32"
      ? env.APPDATA || join(home, "AppData", "Roaming")
      : env.XDG_CONFIG_HOME || join(home, ".config");
  return join(folder, "restic-manager", "rmctl.json");
}

/**
 * @param text as a person types it
 * @throws Problem of usage when it is no address of a server
 */
export function serverUrl(text: string): string {
  const url = URL.parse(text.includes("://") ? text : `https://${text}`);
  if (!url || !["http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw usageProblem("This is no server's address; it looks like https://backup.example.com.");
  }
  if (url.username || url.password) throw usageProblem("Put no name or password into the server's address.");
  if (url.pathname !== "/" || url.search || url.hash) {
    throw usageProblem(`Give the server's address without a path: ${url.origin}.`);
  }
  return url.origin;
}

/** Whether what is sent to the server can be read on its way. @param url as `serverUrl` gives it */
export function isReadableOnTheWay(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  const isThisMachine = hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
  return protocol === "http:" && !isThisMachine;
}

/** @throws Problem `cli.not_logged_in`, `cli.login_exposed`, `cli.login_unreadable` */
export async function findLogin(world: World): Promise<Login> {
  const { env } = world;
  const wanted = env.RM_SERVER ? serverUrl(env.RM_SERVER) : null;
  if (wanted && env.RM_API_TOKEN) return { url: wanted, token: env.RM_API_TOKEN.trim() };
  const login = await readLogin(world);
  if (login && !env.RM_API_TOKEN && (wanted === null || wanted === login.url)) return login;
  if (login && env.RM_API_TOKEN && wanted === null) return { url: login.url, token: env.RM_API_TOKEN.trim() };
  const where = wanted === null ? "" : ` to ${wanted}`;
  throw new Problem(
    "unauthenticated",
    "cli.not_logged_in",
    `You are not logged in${where}. Run "rmctl login URL", or set RM_SERVER and RM_API_TOKEN.`,
  );
}

/** What `login` stored; null when nothing is. */
async function readLogin(world: World): Promise<Login | null> {
  const file = loginFile(world);
  const info = await stat(file).catch(() => null);
  if (info === null) return null;
  if (world.platform !== "win32" && (info.mode & 0o077) !== 0) {
    throw new Problem(
      "unauthenticated",
      "cli.login_exposed",
      `${file} can be read by others. Revoke its token, then log in again; or run: chmod 600 ${file}`,
    );
  }
  const unreadable = new Problem(
    "unauthenticated",
    "cli.login_unreadable",
    `${file} can't be understood. Log in again.`,
  );
  if (info.size > maxFileBytes) throw unreadable;
  try {
    const { url, token } = stored.parse(JSON.parse(await readFile(file, "utf8")));
    return { url: serverUrl(url), token };
  } catch {
    throw unreadable;
  }
}

/** Written beside and renamed: whoever reads meanwhile has the old login or the new one, and nobody else either. */
export async function saveLogin(world: World, login: Login): Promise<string> {
  const file = loginFile(world);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const beside = `${file}.new`;
  await rm(beside, { force: true });
  // `wx`: of two at once, or of one and somebody's link, none writes into the other's.
  const written = await open(beside, "wx", 0o600);
  try {
    await written.writeFile(`${JSON.stringify(login)}\n`);
    await written.sync();
  } finally {
    await written.close();
  }
  if (world.platform !== "win32") await chmod(beside, 0o600);
  await rename(beside, file);
  return file;
}

/** @returns whether there was a login */
export async function forgetLogin(world: World): Promise<boolean> {
  const file = loginFile(world);
  const was = (await stat(file).catch(() => null)) !== null;
  await rm(file, { force: true });
  return was;
}
