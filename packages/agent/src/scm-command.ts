/**
 * `service …` on Windows: what a person or install.ps1 asks of the service control manager (SCM), and what the SCM runs.
 * Invariants: each answer is one sentence; waiting is bounded; the agent that the SCM runs logs to a file and tells the
 * event log why it could not start.
 */
import { dirname, join, win32 } from "node:path";
import type { Clock } from "./platform/clock.ts";
import { AgentError, reasonOf } from "./platform/errors.ts";
import { ensurePrivateDir } from "./platform/files.ts";
import { type LogFile, openLogFile } from "./platform/log-file.ts";
import { ownCommand } from "./platform/program.ts";
import { checkFolder, claimFolder, findOpenFolders } from "./platform/windows/access-list.ts";
import {
  EVENT,
  registerEventSource,
  unregisterEventSource,
  writeEvent,
} from "./platform/windows/event-log.ts";
import {
  answerScm,
  quoteCommand,
  readScmState,
  registerAgent,
  SCM_NAME,
  startAgentByScm,
  stopAgentByScm,
  unregisterAgent,
} from "./platform/windows/scm.ts";

/** Of `service`: what it does is what they are called. `run` is for the SCM alone. */
export const scmActions = ["install", "uninstall", "start", "stop", "status", "run"] as const;
export type ScmAction = (typeof scmActions)[number];

/** A start or a stop that takes longer than this is told as a failure; the SCM itself allows 30 s. */
const SETTLED_WITHIN_MS = 40_000;
const LOOK_MS = 250;

export type ScmCommandOptions = {
  configPath: string;
  dataDir: string;
  /** %ProgramFiles%: where only administrators can change what SYSTEM runs. */
  programFiles: string;
};

/** Carries out an action and returns the sentence to say. Throws AgentError. */
export async function askScm(
  clock: Clock,
  action: Exclude<ScmAction, "run">,
  options: ScmCommandOptions,
): Promise<string> {
  switch (action) {
    case "install":
      return install(options);
    case "uninstall": {
      if (readScmState() === undefined) return "The agent is not registered; nothing to do.";
      await stop(clock);
      unregisterAgent();
      unregisterEventSource();
      return "The agent is stopped and no longer registered. Its configuration and data are left.";
    }
    case "start":
      startAgentByScm();
      await settled(clock, "running");
      return "The agent runs.";
    case "stop":
      await stop(clock);
      return "The agent is stopped. A backup under way goes on to its end.";
    case "status":
      return [describeState(), ...findOpenFolders([dirname(options.configPath)])].join("\n");
  }
}

/** ERROR_SERVICE_NEVER_STARTED: since Windows began, so this is no failure. */
const NEVER_STARTED = 1077;

function describeState(): string {
  const known = readScmState();
  if (known === undefined) return "not registered";
  const { state, exitCode } = known;
  if (state !== "stopped" || exitCode === 0 || exitCode === NEVER_STARTED) return state;
  return `stopped (exit code ${exitCode}; see the event log, source ${SCM_NAME})`;
}

async function install({ configPath, dataDir, programFiles }: ScmCommandOptions): Promise<string> {
  for (const folder of [dirname(configPath), dataDir]) {
    await ensurePrivateDir(folder);
    claimFolder(folder);
  }
  const { file, args } = ownCommand(["service", "run", "--config", configPath]);
  const warnings = registerAgent(quoteCommand([file, ...args]));
  if (!isBelow(programFiles, file))
    warnings.push(
      `SYSTEM will run ${file}: whoever can replace that file rules this machine, so it belongs into ${programFiles}`,
    );
  if (!registerEventSource()) warnings.push("the source in the event log could not be registered");
  const done = "The agent is registered and starts with Windows. Start it now with: service start";
  return [done, ...warnings.map((warning) => `Note: ${warning}.`)].join("\n");
}

function isBelow(folder: string, file: string): boolean {
  const way = win32.relative(folder, file);
  return way !== "" && !way.startsWith("..") && !win32.isAbsolute(way);
}

async function stop(clock: Clock): Promise<void> {
  stopAgentByScm();
  await settled(clock, "stopped");
}

async function settled(clock: Clock, wanted: "running" | "stopped"): Promise<void> {
  const deadlineMs = clock.monotonicMs() + SETTLED_WITHIN_MS;
  for (;;) {
    const now = readScmState();
    if (now?.state === wanted) return;
    const isOver = now === undefined || (wanted === "running" && now.state === "stopped");
    if (isOver || clock.monotonicMs() >= deadlineMs) {
      const seen = now === undefined ? "is not registered" : `is ${now.state}`;
      const message = `The agent ${seen} and not ${wanted}. See the event log (Application, source ${SCM_NAME}) and its own log.`;
      throw new AgentError("windows.not_settled", message);
    }
    await clock.sleep(LOOK_MS);
  }
}

/** What the agent needs to know of whoever runs it. */
export type Hosting = {
  /** A sentence for whoever looks after this machine. */
  warn: (text: string) => void;
  /** Throws when others could have put something into a folder of the agent's. */
  checkFolder: (path: string) => void;
  /** Where its log goes; standard output when absent. */
  destination?: { write: (line: string) => void };
  /** The agent works. */
  ready: () => void;
  /** Called with what ends the agent, which is called once. */
  onStop: (stop: () => void) => void;
  /** The agent could not end in time: leaves at once with that exit code. */
  leave: (code: number) => void;
};

/**
 * Runs the agent for the SCM, to its end. A folder that others can write to is not touched: the event log says so.
 * @param folder of the configuration, with the logs below it
 * @param run the agent; resolves with its exit code
 * @param goodEnds exit codes after which the SCM shall not start it again
 * @returns the exit code
 */
export async function runForScm(
  folder: string,
  run: (hosting: Hosting) => Promise<number>,
  goodEnds: readonly number[],
): Promise<number> {
  const begun = Promise.withResolvers<void>();
  const stopping = Promise.withResolvers<void>();
  const session = answerScm({ onStart: begun.resolve, onStop: stopping.resolve });
  await Promise.race([begun.promise, session.released]);
  const onStop = (stop: () => void) => void stopping.promise.then(stop);
  const code = await runLogged(folder, run, { ready: session.running, onStop }).catch(failed);
  writeEvent("info", EVENT.stopped, "The agent stopped.");
  session.stopped(goodEnds.includes(code) ? 0 : code);
  await session.released;
  return code;
}

async function runLogged(
  folder: string,
  run: (hosting: Hosting) => Promise<number>,
  { ready, onStop }: Pick<Hosting, "ready" | "onStop">,
): Promise<number> {
  let file: LogFile | undefined;
  const destination = {
    // Opened by the first line, which comes after the agent had the folder checked.
    write: (line: string) => {
      file ??= openLogFile(join(folder, "logs", "agent.log"));
      file.write(line);
    },
  };
  const left = Promise.withResolvers<number>();
  const hosting: Hosting = {
    ...{ destination, onStop, checkFolder },
    warn: (text) => void writeEvent("warning", EVENT.warned, text),
    ready: () => {
      ready();
      writeEvent("info", EVENT.started, "The agent started.");
    },
    leave: (code) => left.resolve(code),
  };
  try {
    return await Promise.race([left.promise, run(hosting)]);
  } finally {
    file?.close();
  }
}

function failed(error: unknown): number {
  writeEvent("error", EVENT.failed, reasonOf(error));
  return 1;
}
