/**
 * The update of an agent that came as a package: apt owns the program, so apt replaces it. Invariants: apt runs beside the
 * agent (in a unit of its own where there is systemd), because the package restarts the agent in the middle of it, and is
 * taken up again like a run of restic; it asks nothing; once begun it is not cancelled, since half a package is worse.
 * There is no way back by itself here: the previous version is apt's to give.
 */
import type { JobError } from "@restic-manager/protocol";
import { toolEnv } from "../restic/env.ts";
import { StderrTail } from "../restic/exit.ts";
import type { RunExit } from "../restic/follow.ts";
import { stripEscapes } from "../restic/output.ts";
import { adoptRun, type OutputLine, type ResticRun, type RunOptions, startRun } from "../restic/run.ts";
import { runShort } from "../restic/short.ts";
import { updateError } from "../update/fetch-release.ts";
import { wasBegun } from "./follow-run.ts";
import type { ActiveJob, CommandDeps } from "./job-context.ts";

const PACKAGE = "restic-manager-agent";

/** Waits for another apt, asks nothing, keeps changed configuration. Sources that fail are apt's everyday: it goes on. */
const SCRIPT = `export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update || echo "apt-get update failed; what apt knows already is used." >&2
exec apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold install --only-upgrade ${PACKAGE}`;

/** Beyond this, apt hangs: a mirror that never answers, a question that nobody sees. */
const MAX_SECONDS = 1800;

/** Outside of the agent's sandbox, and of what ends with the agent. */
const OWN_UNIT = [
  "systemd-run",
  "--quiet",
  "--collect",
  "--wait",
  "--pipe",
  "--unit=restic-manager-agent-upgrade",
];

/** Whether a package has brought this program. */
export async function isOwnedByApt(deps: CommandDeps): Promise<boolean> {
  if (deps.platform !== "linux") return false;
  const outcome = await runShort(deps, {
    argv: ["dpkg-query", "-S", deps.updates.agent.program],
    env: toolEnv(deps.inherited, deps.platform),
    redact: (text) => text,
    maxOutputBytes: 64 * 1024,
  });
  return outcome.kind === "exited" && outcome.code === 0;
}

/** `ended` without an error says that apt is content, not that there was a newer version. */
export type AptEnd = { kind: "ended"; error?: JobError } | { kind: "detached" };

/** Runs apt, or follows the apt that an earlier agent began, to its end. */
export async function runApt(deps: CommandDeps, job: ActiveJob): Promise<AptEnd> {
  const tail = new StderrTail();
  const options = {
    jobDir: job.dir,
    redact: deps.redact,
    signal: job.detached,
    onLine: (line: OutputLine) => hear(job, tail, line),
  };
  const run = (await wasBegun(job))
    ? await adopt(deps, options)
    : await startRun(deps, { ...options, argv: aptCommand(deps), env: aptEnv(deps), cwd: "/" });
  const exit: RunExit = run === undefined ? { kind: "vanished", stopRequested: false } : await run.exited;
  if (exit.kind === "detached") return { kind: "detached" };
  if (exit.kind === "exited" && exit.code === 0) return { kind: "ended" };
  const why = exit.kind === "exited" ? `ended with code ${exit.code}` : "did not run to its end";
  const message = `apt owns this agent's program, and apt-get ${why}. Look at its lines above; then update again, or on the host: apt-get install --only-upgrade ${PACKAGE}`;
  return {
    kind: "ended",
    error: { ...updateError("update.managed_by_apt", message), last_lines: tail.lines() },
  };
}

/** Why apt changed nothing. */
export function notOffered(version: string): JobError {
  const message = `apt owns this agent's program, and its sources offer no ${PACKAGE} ${version}. Put that version into the repository that the host's apt reads (the server's /apt), then update again.`;
  return updateError("update.managed_by_apt", message);
}

async function adopt(deps: CommandDeps, options: RunOptions): Promise<ResticRun | undefined> {
  const adoption = await adoptRun(deps, { ...options, from: { stdout: 0, stderr: 0 } });
  return adoption.kind === "gone" ? undefined : adoption.run;
}

async function hear(job: ActiveJob, tail: StderrTail, line: OutputLine): Promise<void> {
  const text = stripEscapes(line.text);
  if (text.trim() === "") return;
  if (line.stream === "stderr") tail.add(text);
  if (job.log.isTold(line)) return;
  await job.log.add(
    { level: line.stream === "stderr" ? "warning" : "info", stream: line.stream, text },
    line,
  );
}

function aptCommand({ inherited }: CommandDeps): string[] {
  const unit = (inherited.NOTIFY_SOCKET ?? "") === "" ? [] : OWN_UNIT;
  return [...unit, "timeout", String(MAX_SECONDS), "/bin/sh", "-c", SCRIPT];
}

const aptEnv = (deps: CommandDeps) => toolEnv(deps.inherited, deps.platform);
