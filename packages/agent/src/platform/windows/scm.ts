/**
 * The agent and the service control manager (SCM): registering, starting, stopping, asking, and being run by it.
 * Invariants: LocalSystem, started late at boot, started again 5, 30 and 60 s after a failure (the count goes back after
 * a day without one); a stop is answered at once and ended by us in time. Numbers and structures are those of winsvc.h.
 */
import { lastError, loadNative, must, type Native, type NativeFunction, WindowsError } from "./native.ts";

/** The name in the registry and for `sc.exe`; also the source in the event log. */
export const SCM_NAME = "restic-manager-agent";
const DISPLAY_NAME = "restic-manager agent";
const DESCRIPTION =
  "Backs this machine up with restic, as its restic-manager server says. Without it no backup runs.";

const ALL_ACCESS = { scm: 0xf003f, program: 0xf01ff } as const;
const READ_ACCESS = { scm: 0x1, program: 0x4 } as const;
const OWN_PROGRAM = 0x10;
const AUTO_START = 2;
const LOG_FAILED_START = 1;
const NO_CHANGE = 0xffffffff;

const LEVEL = { description: 1, failureActions: 2, delayedStart: 3, failureFlag: 4, preshutdown: 7 } as const;
const RESTART = 1;
const RESTART_AFTER_MS = [5_000, 30_000, 60_000] as const;
const DAY_SECONDS = 86_400;
/** How long a shutting down Windows waits for us. */
const PRESHUTDOWN_MS = 30_000;

const STATES = [
  ...["unknown", "stopped", "starting", "stopping", "running", "resuming", "pausing", "paused"],
] as const;
const STATE = { stopped: 1, starting: 2, stopping: 3, running: 4 } as const;
const CONTROL = { stop: 1, interrogate: 4, shutdown: 5, preshutdown: 15 } as const;
const ACCEPTS = { stop: 1, preshutdown: 0x100 } as const;

/** ERROR_SERVICE_SPECIFIC_ERROR: our own exit code stands beside it. */
const OWN_ERROR = 1066;
const NOT_IMPLEMENTED = 120;
const NO_REGISTRATION = 1060;
const NOT_RUNNING = 1062;
const RUNS_ALREADY = 1056;
const EXISTS = 1073;

/** How long Windows is told to wait while we start or stop before it calls us hung. */
const WAIT_HINT_MS = 20_000;

/** SERVICE_STATUS, in its order. */
const STATUS_FIELDS = [
  ...(["dwServiceType", "dwCurrentState", "dwControlsAccepted", "dwWin32ExitCode"] as const),
  ...(["dwServiceSpecificExitCode", "dwCheckPoint", "dwWaitHint"] as const),
];
type Status = Record<(typeof STATUS_FIELDS)[number], number>;

/** What the SCM says of the agent. */
export type ScmState = {
  /** `running`, `stopped`, `starting`, `stopping`, … */
  state: string;
  /** How it ended last: 0 well; of our own codes when it was ours, else Windows'. */
  exitCode: number;
};

type Api = ReturnType<typeof bind>;
let bound: Api | undefined;

function api(): Api {
  bound ??= bind(loadNative());
  return bound;
}

function bind(native: Native) {
  const u32 = "uint32_t";
  native.struct("SERVICE_STATUS", Object.fromEntries(STATUS_FIELDS.map((name) => [name, u32])));
  native.struct("SERVICE_DESCRIPTIONW", { lpDescription: "str16" });
  native.struct("SC_ACTION", { Type: u32, Delay: u32 });
  native.struct("SERVICE_FAILURE_ACTIONSW", {
    ...{ dwResetPeriod: u32, lpRebootMsg: "str16", lpCommand: "str16", cActions: u32 },
    lpsaActions: "SC_ACTION*",
  });
  native.struct("RM_DWORD", { value: u32 });
  const onControl = native.proto(
    "uint32_t __stdcall HandlerEx(uint32_t control, uint32_t type, void* data, void* context)",
  );
  const onMain = native.proto("void __stdcall ServiceMain(uint32_t argc, void* argv)");
  native.struct("SERVICE_TABLE_ENTRYW", { lpServiceName: "str16", lpServiceProc: native.pointer(onMain) });
  const advapi = native.load("advapi32.dll");
  return {
    native,
    onControl: native.pointer(onControl),
    onMain: native.pointer(onMain),
    openScm: advapi.func("void* __stdcall OpenSCManagerW(str16 machine, str16 database, uint32_t access)"),
    create: advapi.func(
      "void* __stdcall CreateServiceW(void* scm, str16 name, str16 shown, uint32_t access, uint32_t type, uint32_t start, uint32_t error, str16 path, str16 group, void* tag, str16 needs, str16 account, str16 password)",
    ),
    change: advapi.func(
      "int __stdcall ChangeServiceConfigW(void* one, uint32_t type, uint32_t start, uint32_t error, str16 path, str16 group, void* tag, str16 needs, str16 account, str16 password, str16 shown)",
    ),
    change2: advapi.func("int __stdcall ChangeServiceConfig2W(void* one, uint32_t level, void* info)"),
    open: advapi.func("void* __stdcall OpenServiceW(void* scm, str16 name, uint32_t access)"),
    start: advapi.func("int __stdcall StartServiceW(void* one, uint32_t argc, void* argv)"),
    control: advapi.func(
      "int __stdcall ControlService(void* one, uint32_t control, _Out_ SERVICE_STATUS* status)",
    ),
    query: advapi.func("int __stdcall QueryServiceStatus(void* one, _Out_ SERVICE_STATUS* status)"),
    remove: advapi.func("int __stdcall DeleteService(void* one)"),
    close: advapi.func("int __stdcall CloseServiceHandle(void* one)"),
    dispatch: advapi.func("int __stdcall StartServiceCtrlDispatcherW(SERVICE_TABLE_ENTRYW* table)"),
    register: advapi.func(
      "void* __stdcall RegisterServiceCtrlHandlerExW(str16 name, HandlerEx* onControl, void* context)",
    ),
    setStatus: advapi.func("int __stdcall SetServiceStatus(void* status, SERVICE_STATUS* now)"),
  };
}

/** Opens the SCM for `work` and closes it in any case. */
function withScm<Result>(access: number, work: (scm: unknown) => Result): Result {
  const { openScm, close } = api();
  const scm = must("to open the service control manager", openScm(null, null, access));
  try {
    return work(scm);
  } finally {
    close(scm);
  }
}

type Level = "all" | "read";

/** Opens the agent's registration for `work`. Throws WindowsError 1060 when there is none. */
function withAgent<Result>(level: Level, work: (one: unknown) => Result): Result {
  const { open, close } = api();
  const access = level === "all" ? ALL_ACCESS : READ_ACCESS;
  return withScm(access.scm, (scm) => {
    const one = must("to open the registration", open(scm, SCM_NAME, access.program));
    try {
      return work(one);
    } finally {
      close(one);
    }
  });
}

/**
 * Registers the program, or brings an older registration up to date. Does not start it.
 * @param commandLine as Windows takes it, quoted (see `quoteCommand`)
 * @returns a sentence for each setting that this Windows does not know
 */
export function registerAgent(commandLine: string): string[] {
  const { create, change, close } = api();
  withScm(ALL_ACCESS.scm, (scm) => {
    const none = [null, null, null, null, null] as const;
    const [type, start, onError] = [OWN_PROGRAM, AUTO_START, LOG_FAILED_START];
    const access = ALL_ACCESS.program;
    const made = create(scm, SCM_NAME, DISPLAY_NAME, access, type, start, onError, commandLine, ...none);
    if (made !== null) return close(made);
    const error = lastError();
    if (error !== EXISTS) throw new WindowsError("to register the agent", error);
    return withAgent("all", (one) =>
      must(
        "to change the registration",
        change(one, NO_CHANGE, start, onError, commandLine, ...none, DISPLAY_NAME),
      ),
    );
  });
  return withAgent("all", configure);
}

function configure(one: unknown): string[] {
  const { native, change2 } = api();
  const actions = RESTART_AFTER_MS.map((delayMs) => ({ Type: RESTART, Delay: delayMs }));
  const failure = {
    ...{ dwResetPeriod: DAY_SECONDS, lpRebootMsg: null, lpCommand: null },
    ...{ cActions: actions.length, lpsaActions: actions },
  };
  const flag = (value: number) => native.as({ value }, "RM_DWORD*");
  const settings: readonly [string, number, unknown][] = [
    [
      "the description",
      LEVEL.description,
      native.as({ lpDescription: DESCRIPTION }, "SERVICE_DESCRIPTIONW*"),
    ],
    ["the recovery actions", LEVEL.failureActions, native.as(failure, "SERVICE_FAILURE_ACTIONSW*")],
    // Also after an end with an exit code, and not only after a crash: so an update starts the new program.
    ["recovery after an error", LEVEL.failureFlag, flag(1)],
    ["the delayed start", LEVEL.delayedStart, flag(1)],
    ["the time for a shutdown", LEVEL.preshutdown, flag(PRESHUTDOWN_MS)],
  ];
  return settings
    .filter(([, level, info]) => change2(one, level, info) === 0)
    .map(([what]) => `${what} could not be set (error ${lastError()})`);
}

/** Takes the agent out of the SCM; one that runs is stopped by the caller before. False when it was not there. */
export function unregisterAgent(): boolean {
  try {
    withAgent("all", (one) => must("to remove the registration", api().remove(one)));
    return true;
  } catch (error) {
    if (error instanceof WindowsError && error.number === NO_REGISTRATION) return false;
    throw error;
  }
}

/** Asks the SCM to start the agent and returns at once; no error when it runs already. */
export function startAgentByScm(): void {
  ignoring(RUNS_ALREADY, () =>
    withAgent("all", (one) => must("to start the agent", api().start(one, 0, null))),
  );
}

/** Asks the agent to stop and returns at once; no error when it does not run. */
export function stopAgentByScm(): void {
  const status: Partial<Status> = {};
  ignoring(NOT_RUNNING, () =>
    withAgent("all", (one) => must("to stop the agent", api().control(one, CONTROL.stop, status))),
  );
}

function ignoring(number: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof WindowsError) || error.number !== number) throw error;
  }
}

/** What the SCM says of the agent; undefined when it is not registered. */
export function readScmState(): ScmState | undefined {
  const status: Partial<Status> = {};
  try {
    withAgent("read", (one) => must("to ask for the state", api().query(one, status)));
  } catch (error) {
    if (error instanceof WindowsError && error.number === NO_REGISTRATION) return undefined;
    throw error;
  }
  const { dwCurrentState = 0, dwWin32ExitCode = 0, dwServiceSpecificExitCode = 0 } = status;
  return {
    state: STATES[dwCurrentState] ?? "unknown",
    exitCode: dwWin32ExitCode === OWN_ERROR ? dwServiceSpecificExitCode : dwWin32ExitCode,
  };
}

/** A program and its arguments as one line, as Windows takes lines apart again (CommandLineToArgvW). */
export function quoteCommand(words: readonly string[]): string {
  return words.map(quoteWord).join(" ");
}

function quoteWord(word: string): string {
  // Backslashes count only in front of a quotation mark, also of the one that ends the word.
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`;
}

export type ScmRun = {
  /** The SCM started us: begin. MUST not throw. */
  onStart: () => void;
  /** The SCM, or a shutdown, wants us to end. Called once. */
  onStop: () => void;
};

/** A program that the SCM runs, as it reports itself. */
export type ScmSession = {
  running: () => void;
  /** The last word; 0 is a good end, after anything else the SCM starts the program again. */
  stopped: (exitCode: number) => void;
  /** Resolves after `stopped`, when the SCM has let go of us. Rejects when it did not start us. */
  released: Promise<void>;
};

/** Answers the SCM, which waits 30 s for that after it started a program. */
export function answerScm(run: ScmRun): ScmSession {
  const { native, onControl, onMain, register, setStatus, dispatch } = api();
  let report: (state: number, exitCode?: number) => void = () => undefined;
  let stopping = false;
  const heard = (control: number): number => {
    if (control === CONTROL.stop || control === CONTROL.preshutdown || control === CONTROL.shutdown) {
      if (!stopping) {
        stopping = true;
        report(STATE.stopping);
        run.onStop();
      }
      return 0;
    }
    return control === CONTROL.interrogate ? 0 : NOT_IMPLEMENTED;
  };
  const hearing = native.register(heard, onControl);
  const main = native.register(() => {
    const status = register(SCM_NAME, hearing, null);
    report = (state, exitCode = 0) => setStatus(status, toStatus(state, exitCode));
    report(STATE.starting);
    run.onStart();
  }, onMain);
  const table = [
    { lpServiceName: SCM_NAME, lpServiceProc: main },
    { lpServiceName: null, lpServiceProc: null },
  ];
  return {
    running: () => report(STATE.running),
    stopped: (exitCode) => report(STATE.stopped, exitCode),
    released: untilReleased(dispatch, table),
  };
}

function untilReleased(dispatch: NativeFunction, table: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    dispatch.async(table, (error: unknown, answer: unknown) => {
      if (error !== null && error !== undefined) reject(error);
      else if (answer === 0) reject(new WindowsError("to be run as a program of its own", 1063));
      else resolve();
    });
  });
}

function toStatus(state: number, exitCode: number): Status {
  const pending = state === STATE.starting || state === STATE.stopping;
  return {
    dwServiceType: OWN_PROGRAM,
    dwCurrentState: state,
    dwControlsAccepted: state === STATE.running ? ACCEPTS.stop | ACCEPTS.preshutdown : 0,
    dwWin32ExitCode: exitCode === 0 ? 0 : OWN_ERROR,
    dwServiceSpecificExitCode: exitCode,
    dwCheckPoint: pending ? 1 : 0,
    dwWaitHint: pending ? WAIT_HINT_MS : 0,
  };
}
