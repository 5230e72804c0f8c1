/**
 * The way into Windows' own libraries: Node has no binding for services, access lists, the event log or when a program
 * began. Invariants: loaded when first asked for and on Windows only, so nothing else pays for it; the native module
 * is the one that this program carries (docs/adr/0014), never one that happens to lie about; a call that fails becomes
 * an error with Windows' number.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { getRawAsset, isSea } from "node:sea";
import { AgentError, reasonOf } from "../errors.ts";

/** A function of a library; `async` runs it on another thread and calls back with (error, result). */
export type NativeFunction = {
  (...args: unknown[]): unknown;
  async: (...args: unknown[]) => void;
};

type Library = { func: (definition: string) => NativeFunction };

/** The part of koffi that is used here. Pointers are bigints, and null is a null pointer. */
export type Native = {
  load: (name: string) => Library;
  struct: (name: string, members: Readonly<Record<string, unknown>>) => unknown;
  proto: (definition: string) => unknown;
  pointer: (type: unknown) => unknown;
  /** Makes a function that Windows can call; calls from its own threads come to the event loop. */
  register: (callback: (...args: number[]) => unknown, type: unknown) => bigint;
  /** A value as a pointer of a named type, for parameters declared `void*`. */
  as: (value: unknown, type: string) => unknown;
  decode: {
    /** Text that ends with a zero. */
    string16: (pointer: unknown) => string;
  };
};

/** How an executable names it among what it carries (tools/package). */
export const NATIVE_ASSET = "koffi.node";

let loaded: Native | undefined;

/** Throws AgentError `windows.native_unavailable` on another system, or where it can't be put beside the program. */
export function loadNative(): Native {
  loaded ??= load();
  return loaded;
}

function load(): Native {
  if (process.platform !== "win32" || !isSea())
    throw new AgentError("windows.native_unavailable", "This is for the agent's executable on Windows only.");
  try {
    const module = { exports: {} as Native };
    process.dlopen(module, placeNative(dirname(process.execPath), Buffer.from(getRawAsset(NATIVE_ASSET))));
    return module.exports;
  } catch (cause) {
    const advice =
      "Run the agent as an administrator, from a folder that only administrators can write to (it belongs into %ProgramFiles%\\restic-manager).";
    const message = `The part of the agent that speaks to Windows can't be loaded: ${reasonOf(cause)}. ${advice}`;
    throw new AgentError("windows.native_unavailable", message, { cause });
  }
}

/**
 * Puts the module that the executable carries beside it, where nobody can write who could not replace the executable
 * itself; one that is there is taken only when it is the same to the byte. Those of other versions go, unless they run.
 * @returns its path
 */
export function placeNative(programDir: string, content: Buffer): string {
  const folder = join(programDir, "native");
  const name = `koffi-${createHash("sha256").update(content).digest("hex").slice(0, 16)}.node`;
  const path = join(folder, name);
  if (!isSame(path, content)) {
    mkdirSync(folder, { recursive: true });
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  }
  for (const other of readdirSync(folder)) {
    if (/^koffi-[0-9a-f]{16}\.node$/.test(other) && other !== name) removeUnlessUsed(join(folder, other));
  }
  return path;
}

function isSame(path: string, content: Buffer): boolean {
  try {
    return readFileSync(path).equals(content);
  } catch {
    return false;
  }
}

/** Windows lets nobody remove a file that a program runs from. */
function removeUnlessUsed(path: string): void {
  try {
    rmSync(path);
  } catch {
    return;
  }
}

/** A call of Windows that failed. */
export class WindowsError extends AgentError {
  /** Windows' own number, as in winerror.h. */
  readonly number: number;

  constructor(call: string, number: number) {
    const words = KNOWN[number];
    super(
      "windows.call_failed",
      `Windows refused ${call}: error ${number}${words === undefined ? "" : `, ${words}`}.`,
    );
    this.name = "WindowsError";
    this.number = number;
  }
}

/** The numbers that a person meets here. Windows' own words come in the language of the machine. */
const KNOWN: Readonly<Record<number, string>> = {
  5: "access denied: run this as an administrator",
  1053: "the program did not answer in time",
  1056: "it runs already",
  1060: "there is no such registration",
  1062: "it does not run",
  1063: "this program was not started by the service control manager: use “service start”",
  1072: "it is about to be removed: close the Services window and try again",
  1073: "there is one already",
};

/** What a call of Windows answered; throws WindowsError when that says it failed. `call` goes into the sentence. */
export function must(call: string, answer: unknown): unknown {
  if (answer === 0 || answer === null) throw new WindowsError(call, lastError());
  return answer;
}

/** Why the last call failed. koffi keeps the number safe from what Node does in between. */
export function lastError(): number {
  return Number(loadNative().load("kernel32.dll").func("uint32_t __stdcall GetLastError()")());
}
