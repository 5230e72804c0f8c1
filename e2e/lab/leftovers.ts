/**
 * Looks at running programs through /proc: which belong to a folder, and what their arguments show. Linux only, as
 * are the tests that use it.
 */
import { readdir, readFile } from "node:fs/promises";

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
