/**
 * The agent's command line: argv, environment, signals, exit code, and nothing else. Subcommands are loaded
 * when they are asked for: `runner` lives as long as restic and must stay small.
 * Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the server removed this host, 4 start the program anew: it was replaced.
 */
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { productVersion } from "@restic-manager/protocol/version";
import type { Hosting } from "./scm-command.ts";
import type { RunningAgent } from "./start.ts";

// Node would open its debugger on a port of this machine.
process.on("SIGUSR1", () => undefined);

const USAGE = `Usage:
  restic-manager-agent [run] [--config PATH]
  restic-manager-agent enrol --server URL [--token TOKEN] [--hostname NAME] [--config PATH]
                             [--data-dir PATH] [--restic PATH] [--ca-file PATH] [--force]
  restic-manager-agent announce --server URL [--hostname NAME] [--note TEXT] [--run] [--config PATH]
                             [--data-dir PATH] [--restic PATH] [--ca-file PATH] [--force]
  restic-manager-agent doctor [--server URL] [--config PATH] [--data-dir PATH] [--ca-file PATH] [--json]
  restic-manager-agent status [--wait SECONDS] [--config PATH]
  restic-manager-agent service install|uninstall|start|stop|status [--config PATH]     on Windows
  restic-manager-agent --version

enrol makes this machine a host with a token of the server. announce needs none: it prints a fingerprint and waits
until somebody at the server accepts it; with --run it then goes on as run.

Give the token in RM_TOKEN rather than as an argument: arguments can be seen by every user of this machine.
RM_SERVER stands in for --server, RM_CA_FILE for --ca-file: certificates (PEM) that are believed beside the system's.
HTTPS_PROXY, HTTP_PROXY and NO_PROXY lead to the server. doctor looks at everything in between and says what to do;
status ends with 0 when the server has this host online.
`;

const EXIT = { done: 0, failed: 1, usage: 2, removed: 3, restart: 4 } as const;

/** systemd and the demo give us five seconds. */
const STOP_WITHIN_MS = 4_500;

type Options = ReturnType<typeof parseCommandLine>["values"];

function parseCommandLine(argv: string[]) {
  return parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      config: { type: "string" },
      server: { type: "string" },
      token: { type: "string" },
      hostname: { type: "string" },
      "data-dir": { type: "string" },
      restic: { type: "string" },
      "ca-file": { type: "string" },
      note: { type: "string" },
      run: { type: "boolean" },
      force: { type: "boolean" },
      json: { type: "boolean" },
      wait: { type: "string" },
      version: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
}

async function main(argv: string[]): Promise<number> {
  let parsed: ReturnType<typeof parseCommandLine>;
  try {
    parsed = parseCommandLine(argv);
  } catch (error) {
    return usageError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  const [command = "run", ...rest] = positionals;
  if (values.version === true) return say(productVersion);
  if (values.help === true) return say(USAGE.trimEnd());
  if (command === "runner" && rest[0] !== undefined) return runnerCommand(rest[0]);
  if (command === "update-guard" && rest.length === 0) return guardCommand();
  if (command === "service") return scmCommand(rest, values);
  if (rest.length > 0) return usageError(`"${rest[0]}" is one word too many.`);
  if (command === "run") return runAgent(values);
  if (command === "enrol" || command === "enroll") return toldToWindows(() => enrolThisHost(values));
  if (command === "announce") return toldToWindows(() => announceThisHost(values));
  if (command === "doctor") return runDoctor(values);
  if (command === "status") return showStatus(values);
  return usageError(`There is no command "${command}".`);
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return EXIT.done;
}

function usageError(text: string): number {
  process.stderr.write(`${text}\n\n${USAGE}`);
  return EXIT.usage;
}

async function runnerCommand(jobDir: string): Promise<number> {
  const { runRunner } = await import("./restic/runner.ts");
  const { systemClock } = await import("./platform/clock.ts");
  const ignoreSignal = (signal: NodeJS.Signals) => void process.on(signal, () => undefined);
  const { nowMs, sleep } = systemClock();
  return runRunner({ pid: process.pid, env: process.env, nowMs, sleep, ignoreSignal }, jobDir);
}

/** Stands before every start: systemd runs the program of before with it (ExecStartPre). */
async function guardCommand(): Promise<number> {
  const hasGoneBack = await goBackIfNeedBe();
  return hasGoneBack
    ? say("The new version never reached its server: the one from before is back.")
    : EXIT.done;
}

/** True when the program of before was put back in the place of a new one. */
async function goBackIfNeedBe(): Promise<boolean> {
  const { guardUpdate } = await import("./update/guard.ts");
  const { guardedProgram } = await import("./update/record.ts");
  const { executablePath } = await import("./platform/program.ts");
  const { systemClock } = await import("./platform/clock.ts");
  const { nowMs } = systemClock();
  const done = await guardUpdate({ nowMs, platform: process.platform }, guardedProgram(executablePath()));
  return done === "rolled_back";
}

async function systemDeps() {
  const [{ systemClock }, { systemRandom }, { readMachine }, { executablePath }] = await Promise.all([
    import("./platform/clock.ts"),
    import("./platform/random.ts"),
    import("./platform/machine.ts"),
    import("./platform/program.ts"),
  ]);
  return {
    ...{ clock: systemClock(), random: systemRandom(), machine: await readMachine() },
    ...{ env: process.env, platform: process.platform, executablePath: executablePath() },
  };
}

/**
 * Where nobody calls the guard before a start (Windows, a supervisor of the operator's own), a new version counts its
 * starts itself: one that gets as far as this line and no further goes back, too. MUST not keep the agent from starting.
 */
function guardsItself(): Promise<boolean> {
  const isGuarded = (process.env.NOTIFY_SOCKET ?? "") !== "";
  return isGuarded ? Promise.resolve(false) : goBackIfNeedBe().catch(() => false);
}

/** The agent in a terminal, or under a service manager that speaks by signals. */
const ofTerminal: Hosting = {
  warn: (text) => void process.stderr.write(`${text}\n`),
  // Whoever starts it answers for what he starts it with, and reads the warnings.
  checkFolder: () => undefined,
  ready: () => undefined,
  onStop: (stop) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  },
  leave: (code) => process.exit(code),
};

async function runAgent(options: Options, hosting = ofTerminal): Promise<number> {
  if (await guardsItself()) return EXIT.restart;
  const { defaultConfigPath, loadConfig } = await import("./config.ts");
  const { createLog } = await import("./platform/log.ts");
  const { startAgent } = await import("./start.ts");
  const configPath = options.config ?? defaultConfigPath;
  // Behind the guard: a new version that refuses what the one before took goes back, too.
  hosting.checkFolder(dirname(configPath));
  const { config, warnings } = await loadConfig(configPath);
  hosting.checkFolder(config.data_dir);
  for (const warning of warnings) hosting.warn(warning);
  const { ownCommand } = await import("./platform/program.ts");
  const deps = await systemDeps();
  const { keepNotified } = await import("./platform/systemd.ts");
  const { releasePublicKey } = await import("./platform/release-key.ts");
  const stopped = new AbortController();
  let agent: RunningAgent | undefined;
  let exit: number = EXIT.done;
  const stop = () => {
    void agent?.stop();
    // Everything on the disk survives a crash, so leaving late work behind is safe; a stop that hangs is not.
    deps.clock.sleep(STOP_WITHIN_MS, stopped.signal).then(
      () => hosting.leave(exit),
      () => undefined,
    );
  };
  const restart = () => {
    exit = EXIT.restart;
    stop();
  };
  const logTo = hosting.destination === undefined ? {} : { destination: hosting.destination };
  agent = await startAgent(config, {
    ...deps,
    createLog: (redact) => createLog({ level: config.log_level, redact, ...logTo }),
    runnerCommand: ownCommand(["runner"]),
    release: { version: productVersion, key: releasePublicKey, restart },
  });
  if (exit === EXIT.restart) void agent.stop();
  hosting.onStop(stop);
  hosting.ready();
  void keepNotified({ ...deps, pid: process.pid, warn: hosting.warn }, agent.status, stopped.signal);
  const end = await agent.ended;
  await agent.stop();
  stopped.abort();
  if (end.kind === "stopped") return exit;
  process.stderr.write(
    `The server removed this host: ${end.message} The agent stops; enrol it again to go on.\n`,
  );
  return EXIT.removed;
}

async function scmCommand([action, ...rest]: string[], options: Options): Promise<number> {
  if (process.platform !== "win32") return usageError("“service” is for Windows; elsewhere use systemd.");
  const { askScm, runForScm, scmActions } = await import("./scm-command.ts");
  const known = scmActions.find((name) => name === action);
  if (known === undefined || rest.length > 0) return usageError(`Use one of: ${scmActions.join(", ")}.`);
  const { defaultConfigPath, defaultDataDir } = await import("./config.ts");
  const configPath = options.config ?? defaultConfigPath;
  if (known === "run") {
    // Whoever ends here with an error is started again: an update rests on it.
    process.env.RM_SUPERVISED = "1";
    const run = (hosting: Hosting) => runAgent({ ...options, config: configPath }, hosting);
    // What Windows may still call keeps the program from ending by itself.
    process.exit(await runForScm(dirname(configPath), run, [EXIT.done, EXIT.removed]));
  }
  const { systemClock } = await import("./platform/clock.ts");
  const dataDir = options["data-dir"] ?? defaultDataDir;
  const programFiles = process.env.ProgramFiles ?? "C:\\Program Files";
  return say(await askScm(systemClock(), known, { configPath, dataDir, programFiles }));
}

/** Administrators of Windows look into the event log first. */
async function toldToWindows(enrol: () => Promise<number>): Promise<number> {
  if (process.platform !== "win32") return enrol();
  const { EVENT, writeEvent } = await import("./platform/windows/event-log.ts");
  try {
    const code = await enrol();
    if (code === EXIT.done) writeEvent("info", EVENT.enrolled, "This machine was enrolled.");
    return code;
  } catch (error) {
    writeEvent("error", EVENT.enrolFailed, error instanceof Error ? error.message : String(error));
    throw error;
  }
}

async function runDoctor(options: Options): Promise<number> {
  const { defaultConfigPath, defaultDataDir, loadConfig } = await import("./config.ts");
  const { examine, printed, printedJson } = await import("./doctor/doctor.ts");
  const diagnosis = await examine(
    { ...(await systemDeps()), uid: process.getuid?.(), loadConfig },
    {
      configPath: options.config ?? defaultConfigPath,
      defaultDataDir,
      server: options.server ?? (process.env.RM_SERVER || undefined),
      caFile: options["ca-file"] ?? (process.env.RM_CA_FILE || undefined),
      dataDir: options["data-dir"],
    },
  );
  const text = options.json === true ? printedJson(diagnosis) : printed(diagnosis);
  await new Promise((done) => process.stdout.write(`${text}\n`, done));
  // What was given up may go on: a name server that is silent would hold the program for much longer than anybody waits.
  process.exit(diagnosis.healthy ? EXIT.done : EXIT.failed);
}

/** What both ways to become a host are told, and the way to the server; undefined when the address is missing. */
async function joinOptions(options: Options) {
  const { defaultConfigPath, defaultDataDir } = await import("./config.ts");
  const { createNetwork } = await import("./link/network.ts");
  const server = options.server ?? process.env.RM_SERVER ?? "";
  if (server === "") return undefined;
  const named = options["ca-file"] ?? process.env.RM_CA_FILE ?? "";
  const caFile = named === "" ? null : resolve(named);
  return {
    network: createNetwork({ env: process.env, caFile, certPin: null }),
    wanted: {
      ...{ server, hostname: options.hostname, force: options.force === true, caFile },
      configPath: options.config ?? defaultConfigPath,
      dataDir: options["data-dir"] ?? defaultDataDir,
      resticPath: options.restic ?? process.env.RM_RESTIC,
    },
  };
}

const noServer = (): number => usageError("Give the server's address: --server or RM_SERVER.");

async function enrolThisHost(options: Options): Promise<number> {
  const { enrolHost } = await import("./start.ts");
  const join = await joinOptions(options);
  if (join === undefined) return noServer();
  const token = options.token ?? process.env.RM_TOKEN ?? "";
  if (token === "") return usageError("Give the one-time token: RM_TOKEN or --token.");
  const { network, wanted } = join;
  const deps = { ...(await systemDeps()), fetch: network.fetch };
  const enrolled = await enrolHost(deps, { ...wanted, token: token.trim() });
  for (const warning of enrolled.warnings) process.stderr.write(`${warning}\n`);
  return say(
    `This machine is enrolled (host ${enrolled.host_id}); its configuration is ${wanted.configPath}.`,
  );
}

async function announceThisHost(options: Options): Promise<number> {
  const { announceHost } = await import("./start.ts");
  const join = await joinOptions(options);
  if (join === undefined) return noServer();
  const { network, wanted } = join;
  const warn = (line: string) => void process.stderr.write(`${line}\n`);
  const deps = { ...(await systemDeps()), network, say, warn };
  const { host_name: name, host_id: id } = await announceHost(deps, { ...wanted, note: options.note });
  say(`This machine was accepted as ${name} (host ${id}); its configuration is ${wanted.configPath}.`);
  return options.run === true ? runAgent(options) : EXIT.done;
}

/** Longer than anybody looks at it. */
const MAX_WAIT_SECONDS = 3600;

async function showStatus(options: Options): Promise<number> {
  const waitSeconds = Number(options.wait ?? 0);
  if (!(waitSeconds >= 0 && waitSeconds <= MAX_WAIT_SECONDS))
    return usageError(`--wait takes seconds, from 0 to ${MAX_WAIT_SECONDS}.`);
  const { dataPaths, defaultConfigPath, loadConfig } = await import("./config.ts");
  const { awaitOnline } = await import("./link/link-state.ts");
  const { systemClock } = await import("./platform/clock.ts");
  const { config } = await loadConfig(options.config ?? defaultConfigPath);
  const path = dataPaths(config.data_dir).linkState;
  const status = await awaitOnline(path, systemClock(), waitSeconds * 1000);
  if (status.kind === "online") return say(`Online: ${config.server} has this host since ${status.since}.`);
  const reason =
    status.kind === "offline" ? status.reason : "no agent runs on this host, or it has just started";
  process.stderr.write(`Not online at ${config.server}: ${reason}.\n`);
  return EXIT.failed;
}

// Not awaited here: an executable is one CommonJS module, which knows no await outside of functions.
void main(process.argv.slice(2))
  .catch((error: unknown) => {
    // Our own errors are sentences; anything else is a mistake of ours, and its message is still the best we have.
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.failed;
  })
  .then((code) => {
    process.exitCode = code;
  });
