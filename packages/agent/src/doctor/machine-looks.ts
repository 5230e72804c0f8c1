/** What the doctor sees of this machine: restic, rights, folders, space, and who starts the agent. */
import { access, constants, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { reasonOf } from "../platform/errors.ts";
import { hasErrorCode, removeTree, touchPrivateFile } from "../platform/files.ts";
import type { Random } from "../platform/random.ts";
import { type BinarySearch, findRestic } from "../restic/binary.ts";
import { toolEnv } from "../restic/env.ts";
import { runShort, type ShortDeps } from "../restic/short.ts";
import { type Finding, failed, look, ok, warning } from "./finding.ts";

export type MachineLooks = {
  clock: Clock;
  random: Random;
  /** Private, and there already; files of these looks lie here for a moment. */
  workDir: string;
  env: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
  /** The user's number; undefined where there are none (Windows). */
  uid: number | undefined;
  configPath: string;
  dataDir: string;
  restic: BinarySearch;
};

/** restic's cache, the outbox and the log of running jobs: below this, backups begin to fail. */
const MIN_FREE_BYTES = 100 * 1024 * 1024;
const LOW_FREE_BYTES = 1024 * 1024 * 1024;
const NAME = "restic-manager-agent";

/** All lines about this machine, in their order. Never rejects. */
export function lookAtMachine(given: MachineLooks): Promise<Finding[]> {
  const { clock } = given;
  return Promise.all([
    look(clock, "restic", (signal) => lookAtRestic(given, signal)),
    look(clock, "rights", (signal) => lookAtRights(given, signal)),
    look(clock, "config_folder", () => lookAtFolder(given, "config_folder", dirname(given.configPath))),
    look(clock, "data_folder", () => lookAtFolder(given, "data_folder", given.dataDir)),
    look(clock, "disk", () => lookAtDisk(given.dataDir)),
    look(clock, "service", (signal) =>
      given.platform === "win32" ? lookAtWindows(given, signal) : lookAtSystemd(given, signal),
    ),
  ]);
}

async function lookAtRestic(given: MachineLooks, signal: AbortSignal): Promise<Finding> {
  const outcome = await findRestic(given, { ...given.restic, signal });
  if (outcome.kind === "ok") return ok("restic", `${outcome.version} at ${outcome.path}.`);
  return { ...failed("restic", outcome.message), code: outcome.code };
}

async function lookAtRights(given: MachineLooks, signal: AbortSignal): Promise<Finding> {
  if (given.platform === "win32") {
    // The integrity levels High (an elevated administrator) and System.
    const groups = await ask(given, ["whoami", "/groups"], signal);
    return groups === undefined || /S-1-16-(12288|16384)/.test(groups)
      ? ok("rights", "Administrator or LocalSystem.")
      : warning("rights", "Not an administrator: run this from a console that was opened as administrator.");
  }
  return given.uid === 0
    ? ok("rights", "root.")
    : warning(
        "rights",
        `Not root (user ${given.uid}): backups see only what this user may read, and the agent's own files may be out of reach. Run this as root.`,
      );
}

async function lookAtFolder(given: MachineLooks, name: string, folder: string): Promise<Finding> {
  const where = await nearestExisting(folder);
  const found = await stat(where);
  if (!found.isDirectory())
    return failed(name, `${where} is a file, and ${folder} has to be a folder: move it away.`);
  try {
    // What rights say is not all: root is refused on a read-only disk, and on some network disks.
    if (where === folder) await tryWriting(join(folder, `.doctor-${given.random.hex(8)}`));
    else await access(where, constants.W_OK);
  } catch (error) {
    const isFull = hasErrorCode(error, "ENOSPC") || hasErrorCode(error, "EDQUOT");
    return failed(
      name,
      isFull
        ? `${where} can't be written: the disk is full, or has no place for one more file (df -h, df -i). Make room.`
        : `${where} can't be written (${reasonOf(error)}): run this as root, or choose another folder.`,
    );
  }
  if (where !== folder) return ok(name, `${folder} is not there yet and can be made.`);
  if (given.platform !== "win32" && name === "data_folder" && (found.mode & 0o077) !== 0)
    return warning(name, `Others can look into ${folder}, which holds this host's secrets: chmod 700 it.`);
  return ok(name, `${folder} can be written.`);
}

async function tryWriting(path: string): Promise<void> {
  await touchPrivateFile(path);
  await removeTree(path);
}

async function nearestExisting(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch {
    const parent = dirname(folder);
    return parent === folder ? folder : nearestExisting(parent);
  }
}

async function lookAtDisk(dataDir: string): Promise<Finding> {
  const where = await nearestExisting(dataDir);
  const { bavail, bsize } = await statfs(where);
  const free = bavail * bsize;
  const amount =
    free < 1024 ** 3 ? `${Math.floor(free / 1024 ** 2)} MiB` : `${(free / 1024 ** 3).toFixed(1)} GiB`;
  const sentence = `${amount} free at ${where}`;
  if (free < MIN_FREE_BYTES)
    return failed("disk", `${sentence}: restic's cache and the log of a backup need more; make room.`);
  return free < LOW_FREE_BYTES ? warning("disk", `${sentence}: make room soon.`) : ok("disk", `${sentence}.`);
}

async function lookAtSystemd(given: MachineLooks, signal: AbortSignal): Promise<Finding> {
  const asked = "LoadState,ActiveState,SubState,UnitFileState,Result";
  const shown = await ask(given, ["systemctl", "show", NAME, `--property=${asked}`], signal);
  if (shown === undefined)
    return warning(
      "service",
      "No systemd here: see to it that something starts the agent, and starts it again.",
    );
  const state = Object.fromEntries(shown.split("\n").map((line) => line.split("=", 2)));
  const advice = `Look at: journalctl -u ${NAME} -n 50`;
  if (state.LoadState !== "loaded")
    return warning("service", `There is no unit ${NAME}: install it with the server's install.sh.`);
  if (state.ActiveState !== "active")
    return failed(
      "service",
      `The unit ${NAME} is ${state.ActiveState} (${state.SubState}, ${state.Result}): systemctl start ${NAME}. ${advice}`,
    );
  return /^enabled/.test(state.UnitFileState ?? "")
    ? ok("service", "The unit runs and starts with the machine.")
    : warning("service", `The unit runs, but does not start with the machine: systemctl enable ${NAME}.`);
}

async function lookAtWindows(given: MachineLooks, signal: AbortSignal): Promise<Finding> {
  const [state, setup] = await Promise.all([
    ask(given, ["sc.exe", "query", NAME], signal),
    ask(given, ["sc.exe", "qc", NAME], signal),
  ]);
  if (state === undefined || setup === undefined)
    return warning("service", `There is no service ${NAME}: install it with the server's install.ps1.`);
  // The names of the fields are translated, their numbers are not: 4 is RUNNING, 2 is AUTO_START.
  if (!/:\s*4\s/.test(state))
    return failed(
      "service",
      `The service ${NAME} does not run: Start-Service ${NAME}. Look at the event log.`,
    );
  return /:\s*2\s/.test(setup)
    ? ok("service", "The service runs and starts with the machine.")
    : warning(
        "service",
        `The service runs, but does not start with the machine: sc.exe config ${NAME} start=auto`,
      );
}

/** What a program of the system prints; undefined when it is not there, fails, or takes too long. */
async function ask(given: MachineLooks, argv: string[], signal: AbortSignal): Promise<string | undefined> {
  const deps: ShortDeps = given;
  const outcome = await runShort(deps, {
    argv,
    env: toolEnv(given.env, given.platform),
    redact: (text) => text,
    timeoutMs: 4_000,
    maxOutputBytes: 256 * 1024,
    signal,
  });
  return outcome.kind === "exited" && outcome.code === 0 ? outcome.stdout : undefined;
}
