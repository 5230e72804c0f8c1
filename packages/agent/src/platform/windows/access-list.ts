/**
 * Who may use a folder of the agent's: SYSTEM and Administrators, and nobody else. Everybody may make folders in
 * %ProgramData%, and whoever made one owns it and decides about it, so the owner counts as much as the list; a link leads
 * SYSTEM wherever its maker wants. By SIDs and SDDL only: names of groups are translated.
 */
import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AgentError, reasonOf } from "../errors.ts";
import { loadNative, must, type Native, WindowsError } from "./native.ts";

/** Owner and group Administrators; a list of its own (P), handed down to what lies in it (OI, CI). */
const OURS = "O:BAG:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

const REVISION = 1;
const FILE_OBJECT = 1;
const PARTS = { owner: 1, group: 2, list: 4, isProtected: 0x80000000 } as const;

/** SYSTEM, Administrators, and whoever creates something, which is one of the two. TrustedInstaller owns Windows' own. */
const TRUSTED = new Set([
  ...["SY", "BA", "CO", "OW", "S-1-5-18", "S-1-5-32-544", "S-1-3-0", "S-1-3-4"],
  "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
]);

/** Sets owner and list of a folder and of what inherits from it. Throws WindowsError. */
export function protectFolder(path: string): void {
  setAccess(path, (PARTS.owner | PARTS.list | PARTS.isProtected) >>> 0);
}

function setAccess(path: string, parts: number): void {
  const native = loadNative();
  const advapi = native.load("advapi32.dll");
  const parse = advapi.func(
    "int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(str16 text, uint32_t revision, _Out_ void** descriptor, void* size)",
  );
  const getOwner = advapi.func(
    "int __stdcall GetSecurityDescriptorOwner(void* descriptor, _Out_ void** owner, _Out_ int* defaulted)",
  );
  const getList = advapi.func(
    "int __stdcall GetSecurityDescriptorDacl(void* descriptor, _Out_ int* present, _Out_ void** list, _Out_ int* defaulted)",
  );
  const set = advapi.func(
    "uint32_t __stdcall SetNamedSecurityInfoW(str16 name, int type, uint32_t parts, void* owner, void* group, void* list, void* audit)",
  );
  const [descriptor, owner, list, ignored] = [[null], [null], [null], [0]];
  must("to read an access list", parse(OURS, REVISION, descriptor, null));
  try {
    must("to find an owner", getOwner(descriptor[0], owner, ignored));
    must("to find a list", getList(descriptor[0], ignored, list, ignored));
    const answer = set(path, FILE_OBJECT, parts, owner[0], null, list[0], null);
    if (answer !== 0) throw new WindowsError(`to protect ${path}`, Number(answer));
  } finally {
    freeLocal(native, descriptor[0]);
  }
}

/** What is asked of Windows, and told it; tests answer for it. */
export type Windows = {
  /** Owner and list as SDDL. */
  accessOf: (path: string) => string;
  /** The account that this program runs as: an administrator may own what he made himself. */
  ownSid: () => string;
  protect: (folder: string) => void;
  /** Makes Administrators the owner and leaves the list. */
  takeOver: (path: string) => void;
};

const realWindows: Windows = {
  accessOf: readAccess,
  ownSid: readOwnSid,
  protect: protectFolder,
  takeOver: (path) => setAccess(path, PARTS.owner),
};

/**
 * Makes a folder the agent's. One that somebody else made, or put something into, is refused before anything is changed.
 * @throws AgentError `windows.foreign_folder`, WindowsError
 */
export function claimFolder(path: string, windows = realWindows): void {
  refuseForeign(path, windows);
  windows.protect(path);
  // Once more: until here others could still put something into it.
  const entries = refuseForeign(path, windows);
  for (const entry of entries) if (!isTrusted(ownerOf(windows.accessOf(entry)))) windows.takeOver(entry);
}

/**
 * What SYSTEM asks of a folder (when it is there) before it reads or writes anything in it.
 * @throws AgentError `windows.foreign_folder`, `windows.open_folder`, WindowsError
 */
export function checkFolder(path: string, windows = realWindows): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  refuseForeign(path, windows);
  const writers = findStrangers(windows.accessOf(path), mayWrite).filter((sid) => sid !== windows.ownSid());
  if (writers.length === 0) return;
  const message = `${path} can be changed by others than SYSTEM and Administrators (${writers.join(", ")}), so the agent does not start. Look at what is in it, then run “restic-manager-agent service install” as an administrator.`;
  throw new AgentError("windows.open_folder", message);
}

/** Throws when the folder, or something in it, is a link or somebody else's; returns what is in it. */
function refuseForeign(folder: string, windows: Windows): string[] {
  refuseOne(folder, windows);
  const entries = readdirSync(folder).map((name) => join(folder, name));
  for (const entry of entries) refuseOne(entry, windows);
  return entries;
}

function refuseOne(path: string, windows: Windows): void {
  // Junctions, too. Of a link Windows would tell the owner of what it leads to.
  const isLink = lstatSync(path).isSymbolicLink();
  const owner = isLink ? "" : ownerOf(windows.accessOf(path));
  if (!isLink && (isTrusted(owner) || owner === windows.ownSid())) return;
  const reason = isLink ? "is a link" : `belongs to somebody else (${owner})`;
  const message = `${path} ${reason}: what the agent keeps there could be another's. Look at what it is, remove it and run “restic-manager-agent service install” as an administrator.`;
  throw new AgentError("windows.foreign_folder", message);
}

/** A sentence for each folder (of those that are there) that others than SYSTEM and Administrators may use; never throws. */
export function findOpenFolders(folders: readonly string[]): string[] {
  return folders.filter(existsSync).flatMap((folder) => {
    try {
      const strangers = findStrangers(readAccess(folder));
      if (strangers.length === 0) return [];
      const who = strangers.join(", ");
      return [
        `${folder} can be used by others than SYSTEM and Administrators (${who}): run “restic-manager-agent service install” as an administrator.`,
      ];
    } catch (error) {
      return [reasonOf(error)];
    }
  });
}

/** Owner and list of a file or folder as SDDL. Throws WindowsError. */
export function readAccess(path: string): string {
  const native = loadNative();
  const advapi = native.load("advapi32.dll");
  const get = advapi.func(
    "uint32_t __stdcall GetNamedSecurityInfoW(str16 name, int type, uint32_t parts, void* owner, void* group, void* list, void* audit, _Out_ void** descriptor)",
  );
  const print = advapi.func(
    "int __stdcall ConvertSecurityDescriptorToStringSecurityDescriptorW(void* descriptor, uint32_t revision, uint32_t parts, _Out_ void** text, void* size)",
  );
  const [descriptor, text] = [[null], [null]];
  const parts = PARTS.owner | PARTS.list;
  const answer = get(path, FILE_OBJECT, parts, null, null, null, null, descriptor);
  if (answer !== 0) throw new WindowsError(`to say who may use ${path}`, Number(answer));
  try {
    must("to print an access list", print(descriptor[0], REVISION, parts, text, null));
    return native.decode.string16(text[0]);
  } finally {
    freeLocal(native, text[0]);
    freeLocal(native, descriptor[0]);
  }
}

const TOKEN_QUERY = 0x8;
const TOKEN_USER = 1;
const MAX_TOKEN_BYTES = 256;

function readOwnSid(): string {
  const native = loadNative();
  const [advapi, kernel] = [native.load("advapi32.dll"), native.load("kernel32.dll")];
  const self = kernel.func("void* __stdcall GetCurrentProcess()");
  const open = advapi.func("int __stdcall OpenProcessToken(void* one, uint32_t access, _Out_ void** token)");
  const ask = advapi.func(
    "int __stdcall GetTokenInformation(void* token, int what, void* data, uint32_t size, _Out_ uint32_t* needed)",
  );
  const print = advapi.func("int __stdcall ConvertSidToStringSidW(void* sid, _Out_ void** text)");
  const close = kernel.func("int __stdcall CloseHandle(void* one)");
  const [token, text] = [[null], [null]];
  must("to ask who runs this", open(self(), TOKEN_QUERY, token));
  try {
    // TOKEN_USER begins with a pointer to the SID, which stands behind it in the same bytes.
    const data = Buffer.alloc(MAX_TOKEN_BYTES);
    must("to say who runs this", ask(token[0], TOKEN_USER, data, data.length, [0]));
    must("to print who runs this", print(data.readBigUInt64LE(), text));
    return native.decode.string16(text[0]);
  } finally {
    freeLocal(native, text[0]);
    close(token[0]);
  }
}

function freeLocal(native: Native, pointer: unknown): void {
  if (pointer !== null) native.load("kernel32.dll").func("void* __stdcall LocalFree(void* memory)")(pointer);
}

/** Rights that change nothing, as SDDL writes them: by pairs of letters, or as a number that has none but these bits. */
const READING = new Set(["FR", "FX", "GR", "GX", "RC", "CC", "SW", "WP", "LO"]);
const READING_BITS = 0xa01200a9;

/** Whether rights of an entry go beyond reading; what is not known does. */
function mayWrite(rights: string): boolean {
  if (/^0x[0-9a-f]{1,8}$/i.test(rights)) return (Number(rights) & ~READING_BITS) !== 0;
  return !(rights.match(/../g) ?? [rights]).every((right) => READING.has(right));
}

/**
 * Who else may do something there, by SID, and the owner when it is somebody else; empty when all is well. Pure.
 * @param counts the rights to look for; any when absent
 */
export function findStrangers(sddl: string, counts: (rights: string) => boolean = () => true): string[] {
  const strangers = new Set<string>();
  const owner = ownerOf(sddl);
  if (!isTrusted(owner)) strangers.add(owner);
  const list = /D:([A-Z_]*)((?:\([^)]*\))*)/.exec(sddl);
  // Without a list everybody may do everything.
  if (list === null || list[1]?.includes("NO_ACCESS_CONTROL") === true) strangers.add("WD");
  for (const [, entry = ""] of (list?.[2] ?? "").matchAll(/\(([^)]*)\)/g)) {
    const [kind = "", , rights = "", , , sid = ""] = entry.split(";");
    const denies = kind === "D" || kind === "OD" || kind === "XD";
    if (!denies && counts(rights) && !isTrusted(sid)) strangers.add(sid);
  }
  return [...strangers];
}

function ownerOf(sddl: string): string {
  return /^O:(S-[\d-]+|[A-Z]{2})/.exec(sddl)?.[1] ?? "no owner";
}

/** Windows' own administrator account, which owns what it makes where the group does not: the end of its SID is fixed. */
function isTrusted(sid: string): boolean {
  return TRUSTED.has(sid) || sid === "LA" || /^S-1-5-21-[\d-]+-500$/.test(sid);
}
