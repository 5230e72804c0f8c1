/**
 * What the agent tells the program that started it (https://www.freedesktop.org/software/systemd/man/sd_notify.html):
 * that it runs, and, as long as its event loop turns, that it still does. Node has no datagram sockets of the local kind,
 * so `systemd-notify` says it, which every system with systemd has; since it speaks as another pid, the unit needs
 * `NotifyAccess=all`. Invariants: a word that could not be said never hurts the agent; nobody speaks from a thread or a
 * program of its own, because then a hung event loop would go unnoticed.
 */
import type { Command } from "./child.ts";
import { spawnOwnSession } from "./child.ts";
import { type Clock, slept } from "./clock.ts";
import { reasonOf } from "./errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type NotifyDeps = {
  clock: Clock;
  env: Environment;
  pid: number;
  /** One sentence for the log. */
  warn: (sentence: string) => void;
  /** The program that speaks; found on PATH. */
  notifier?: Command;
};

const NOTIFIER: Command = { file: "systemd-notify", args: [] };

/**
 * True when whatever started this program starts it again when it ends: systemd with `Type=notify`, or one that says so by
 * RM_SUPERVISED=1 (the service of Windows, a supervisor of the operator's own).
 */
export function isSupervised(env: Environment): boolean {
  return (env.NOTIFY_SOCKET ?? "") !== "" || env.RM_SUPERVISED === "1";
}

/** Half of the time that systemd allows between two signs of life, in milliseconds; undefined when it wants none. */
export function watchdogIntervalMs(env: Environment, pid: number): number | undefined {
  const wantedOf = env.WATCHDOG_PID ?? String(pid);
  const limitMs = Number(env.WATCHDOG_USEC) / 1000;
  return limitMs >= 1 && wantedOf === String(pid) ? limitMs / 2 : undefined;
}

/**
 * Says that the agent runs, and then that it is alive at every half of the watchdog's time, until `signal` aborts. Does
 * nothing without systemd. Never rejects. `status` is one line for `systemctl status`, asked each time.
 */
export async function keepNotified(
  deps: NotifyDeps,
  status: () => string,
  signal: AbortSignal,
): Promise<void> {
  if ((deps.env.NOTIFY_SOCKET ?? "") === "") return;
  await tell(deps, ["READY=1", `STATUS=${status()}`]);
  const intervalMs = watchdogIntervalMs(deps.env, deps.pid);
  if (intervalMs === undefined) return;
  while (await slept(deps.clock, intervalMs, signal)) await tell(deps, ["WATCHDOG=1", `STATUS=${status()}`]);
}

async function tell(deps: NotifyDeps, words: readonly string[]): Promise<void> {
  const { file, args } = deps.notifier ?? NOTIFIER;
  const { PATH = "/usr/bin:/bin", NOTIFY_SOCKET = "" } = deps.env;
  try {
    const { ended } = await spawnOwnSession({
      command: { file, args: [...args, ...words] },
      env: { PATH, NOTIFY_SOCKET },
      cwd: "/",
    });
    const { code } = await ended;
    if (code !== 0) deps.warn(`systemd-notify ended with ${code}: systemd may end this agent.`);
  } catch (error) {
    deps.warn(`systemd-notify can't be started (${reasonOf(error)}): systemd may end this agent.`);
  }
}
