/** Programs that run on this Windows: who a pid is, and what Windows itself is called. For child.ts and machine.ts. */
import { loadNative } from "./native.ts";

/** PROCESS_QUERY_LIMITED_INFORMATION: what every user may ask about most programs. */
const LIMITED_QUERY = 0x1000;
const STILL_ACTIVE = 259;
const MAX_PATH_CHARS = 32_768;

/**
 * When a living program began, in Windows' own units (100 ns since 1601): with the pid an identity that no reboot repeats.
 * Undefined when nobody runs under that number, or nobody whom we may ask about.
 */
export function readStartTime(pid: number): string | undefined {
  return asking(pid, (kernel, one) => {
    const times = kernel.func(
      "int __stdcall GetProcessTimes(void* one, void* began, void* ended, void* ofKernel, void* ofUser)",
    );
    const exitCode = kernel.func("int __stdcall GetExitCodeProcess(void* one, _Out_ uint32_t* code)");
    const code = [0];
    // The number of a program that ended stays taken while anybody still holds it open.
    if (exitCode(one, code) === 0 || code[0] !== STILL_ACTIVE) return undefined;
    const [began, unused] = [Buffer.alloc(8), Buffer.alloc(8)];
    return times(one, began, unused, unused, unused) === 0 ? undefined : began.readBigUInt64LE().toString();
  });
}

/** The path of the program that a pid runs; undefined when it can't be told. */
export function readProgramPath(pid: number): string | undefined {
  return asking(pid, (kernel, one) => {
    const query = kernel.func(
      "int __stdcall QueryFullProcessImageNameW(void* one, uint32_t flags, void* path, _Inout_ uint32_t* chars)",
    );
    const [path, chars] = [Buffer.alloc(2 * MAX_PATH_CHARS), [MAX_PATH_CHARS]];
    return query(one, 0, path, chars) === 0 ? undefined : path.toString("utf16le", 0, 2 * (chars[0] ?? 0));
  });
}

type Kernel = ReturnType<ReturnType<typeof loadNative>["load"]>;

function asking<Answer>(pid: number, ask: (kernel: Kernel, one: unknown) => Answer | undefined) {
  const kernel = loadNative().load("kernel32.dll");
  const open = kernel.func("void* __stdcall OpenProcess(uint32_t access, int inherit, uint32_t pid)");
  const one = open(LIMITED_QUERY, 0, pid);
  if (one === null) return undefined;
  try {
    return ask(kernel, one);
  } finally {
    kernel.func("int __stdcall CloseHandle(void* one)")(one);
  }
}

const LOCAL_MACHINE = 0x80000002n;
const ONLY_TEXT = 0x2;
/** Of a 32-bit program too, this is the key that everybody else sees. */
const SUBKEY_64 = 0x10000;

/** What Windows' set-up called this machine; null when it can't be read. A copy of a machine has the same. */
export function readMachineGuid(): string | null {
  const get = loadNative()
    .load("advapi32.dll")
    .func(
      "int32_t __stdcall RegGetValueW(uint64_t root, str16 key, str16 name, uint32_t flags, void* type, void* data, _Inout_ uint32_t* size)",
    );
  const [data, size] = [Buffer.alloc(256), [256]];
  const key = "SOFTWARE\\Microsoft\\Cryptography";
  if (get(LOCAL_MACHINE, key, "MachineGuid", ONLY_TEXT | SUBKEY_64, null, data, size) !== 0) return null;
  const text = data.toString("utf16le", 0, size[0] ?? 0);
  return text.replace(/\0+$/, "") || null;
}
