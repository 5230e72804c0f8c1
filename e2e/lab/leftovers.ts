/**
 * Looks at running programs through /proc: which belong to a folder, and what their arguments show. Linux only, as
 * are the tests that use it.
 */
import { readdir, readFile, readlink } from "node:fs/promises";

/** TCP_LISTEN of the kernel. */
const listening = "0A";

export interface Program {
  pid: number;
  argv: string[];
}

/** Every running program that we may see. One that ends meanwhile is left out. */
export async function listPrograms(): Promise<Program[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return { pid, argv: text.split("\0").slice(0, -1) };
    }),
  );
  return found.filter(({ argv }) => argv.length > 0);
}

/** Programs with a path below the folder among their arguments. */
export async function listProgramsOf(folder: string): Promise<Program[]> {
  const programs = await listPrograms();
  return programs.filter(
    ({ pid, argv }) => pid !== process.pid && argv.some((word) => word.includes(folder)),
  );
}

/** Kills what outlived its parents on purpose: runners and their restic carry the folder in their arguments. */
export async function endLeftovers(folder: string): Promise<void> {
  for (const { pid } of await listProgramsOf(folder)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself between the list and the signal.
    }
  }
}

/** Whether the program still runs (a zombie does not). */
export async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) [ZX] /.test(stat);
}

/** Where a program accepts connections by TCP, as the kernel writes addresses. */
export async function listeningSockets(pid: number): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readFile(`/proc/${pid}/net/${name}`, "utf8")),
  );
  const rows = tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((row) => row.trim().split(/\s+/));
  return rows
    .filter(([, , , state, , , , , , inode]) => state === listening && links.includes(`socket:[${inode}]`))
    .map(([, address]) => address ?? "");
}
