/**
 * The agent's command line: argv, environment, signals, exit code, and nothing else. Subcommands are loaded
 * when they are asked for: `runner` lives as long as restic and must stay small.
 * Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the server removed this host.
 */
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { productVersion } from "@restic-manager/protocol/version";
import type { Hosting } from "./scm-command.ts";

const USAGE = `Usage:
  restic-manager-agent [run] [--config PATH]
  restic-manager-agent enrol --server URL [--token TOKEN] [--hostname NAME] [--config PATH]
                             [--data-dir PATH] [--restic PATH] [--force]
  restic-manager-agent service install|uninstall|start|stop|status [--config PATH]     on Windows
  restic-manager-agent --version

Give the token in RM_TOKEN rather than as an argument: arguments can be seen by every user of this machine.
RM_SERVER stands in for --server.
`;

const EXIT = { done: 0, failed: 1, usage: 2, removed: 3 } as const;

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
      force: { type: "boolean" },
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
  if (command === "service") return scmCommand(rest, values);
  if (rest.length > 0) return usageError(`"${rest[0]}" is one word too many.`);
  if (command === "run") return runAgent(values);
  if (command === "enrol" || command === "enroll") return toldToWindows(() => enrolThisHost(values));
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

/** The agent in a terminal, or under a service manager that speaks by signals. */
const ofTerminal: Hosting = {
  warn: (text) => void process.stderr.write(`${text}\n`),
  ready: () => undefined,
  onStop: (stop) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  },
  leave: (code) => process.exit(code),
};

async function runAgent(options: Options, hosting = ofTerminal): Promise<number> {
  const { defaultConfigPath, loadConfig } = await import("./config.ts");
  const { createLog } = await import("./platform/log.ts");
  const { startAgent } = await import("./start.ts");
  const { config, warnings } = await loadConfig(options.config ?? defaultConfigPath);
  for (const warning of warnings) hosting.warn(warning);
  const { ownCommand } = await import("./platform/program.ts");
  const deps = await systemDeps();
  const logTo = hosting.destination === undefined ? {} : { destination: hosting.destination };
  const agent = await startAgent(config, {
    ...deps,
    createLog: (redact) => createLog({ level: config.log_level, redact, ...logTo }),
    runnerCommand: ownCommand(["runner"]),
  });
  const stopped = new AbortController();
  const stop = () => {
    void agent.stop();
    // Everything on the disk survives a crash, so leaving late work behind is safe; a stop that hangs is not.
    deps.clock.sleep(STOP_WITHIN_MS, stopped.signal).then(
      () => hosting.leave(EXIT.done),
      () => undefined,
    );
  };
  hosting.onStop(stop);
  hosting.ready();
  const end = await agent.ended;
  await agent.stop();
  stopped.abort();
  if (end.kind === "stopped") return EXIT.done;
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
    const logDir = join(dirname(configPath), "logs");
    // Whoever ends here with an error is started again: an update rests on it.
    process.env.RM_SUPERVISED = "1";
    const run = (hosting: Hosting) => runAgent({ ...options, config: configPath }, hosting);
    // What Windows may still call keeps the program from ending by itself.
    process.exit(await runForScm(logDir, run, [EXIT.done, EXIT.removed]));
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

async function enrolThisHost(options: Options): Promise<number> {
  const { defaultConfigPath, defaultDataDir } = await import("./config.ts");
  const { enrolHost } = await import("./start.ts");
  const server = options.server ?? process.env.RM_SERVER ?? "";
  const token = options.token ?? process.env.RM_TOKEN ?? "";
  if (server === "") return usageError("Give the server's address: --server or RM_SERVER.");
  if (token === "") return usageError("Give the one-time token: RM_TOKEN or --token.");
  const configPath = options.config ?? defaultConfigPath;
  const enrolled = await enrolHost(
    { ...(await systemDeps()), fetch },
    {
      ...{
        server,
        token: token.trim(),
        hostname: options.hostname,
        force: options.force === true,
        configPath,
      },
      dataDir: options["data-dir"] ?? defaultDataDir,
      resticPath: options.restic ?? process.env.RM_RESTIC,
    },
  );
  for (const warning of enrolled.warnings) process.stderr.write(`${warning}\n`);
  return say(`This machine is enrolled (host ${enrolled.host_id}); its configuration is ${configPath}.`);
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
