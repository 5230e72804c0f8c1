/**
 * Entries in Windows' event log (Application, source "restic-manager-agent"): that the agent started or stopped, why it
 * could not, and what an update came to. Everything else stands in the agent's own log. Invariants: a text is complete
 * and without secrets when it comes here; an entry that can't be written is no reason to fail.
 */
import { loadNative } from "./native.ts";
import { SCM_NAME } from "./scm.ts";

export type EventLevel = "info" | "warning" | "error";

/** Numbers for filters; they must not change. */
export const EVENT = {
  ...{ started: 1, stopped: 2, failed: 3, enrolled: 4, enrolFailed: 5, update: 6, warned: 7 },
} as const;

const TYPES: Readonly<Record<EventLevel, number>> = { error: 1, warning: 2, info: 4 };

const LOCAL_MACHINE = 0x80000002n;
const SOURCE_KEY = `SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\${SCM_NAME}`;
const REG_EXPAND_SZ = 2;
const REG_DWORD = 4;
/** Windows' own program for events of scripts; its messages 1 to 1000 are just the text. So no message file of ours. */
const MESSAGE_FILE = "%SystemRoot%\\System32\\EventCreate.exe";
/** ReportEvent takes 31,839 characters. */
const MAX_CHARS = 30_000;

/** Makes our source known, so that its entries show as their text. Needs an administrator; false when it failed. */
export function registerEventSource(): boolean {
  const set = advapi().func(
    "int32_t __stdcall RegSetKeyValueW(uint64_t root, str16 key, str16 name, uint32_t type, void* data, uint32_t size)",
  );
  const file = Buffer.from(`${MESSAGE_FILE}\0`, "utf16le");
  const types = Buffer.alloc(4);
  types.writeUInt32LE(TYPES.error | TYPES.warning | TYPES.info);
  return [
    set(LOCAL_MACHINE, SOURCE_KEY, "EventMessageFile", REG_EXPAND_SZ, file, file.length),
    set(LOCAL_MACHINE, SOURCE_KEY, "TypesSupported", REG_DWORD, types, types.length),
  ].every((answer) => answer === 0);
}

/** Takes the source out again; entries that were written stay. */
export function unregisterEventSource(): void {
  const remove = advapi().func("int32_t __stdcall RegDeleteTreeW(uint64_t root, str16 key)");
  remove(LOCAL_MACHINE, SOURCE_KEY);
}

/** Writes an entry. Never throws; false when Windows did not take it. */
export function writeEvent(level: EventLevel, number: number, text: string): boolean {
  try {
    const open = advapi().func("void* __stdcall RegisterEventSourceW(str16 machine, str16 source)");
    const report = advapi().func(
      "int __stdcall ReportEventW(void* log, uint16_t type, uint16_t category, uint32_t id, void* user, uint16_t count, uint32_t size, str16* texts, void* data)",
    );
    const close = advapi().func("int __stdcall DeregisterEventSource(void* log)");
    const log = open(null, SCM_NAME);
    if (log === null) return false;
    try {
      const texts = [text.slice(0, MAX_CHARS)];
      return report(log, TYPES[level], 0, number, null, 1, 0, texts, null) !== 0;
    } finally {
      close(log);
    }
  } catch {
    return false;
  }
}

function advapi() {
  return loadNative().load("advapi32.dll");
}
