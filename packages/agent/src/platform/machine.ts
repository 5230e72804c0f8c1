/** Who this machine is, for hello and enrolment. Nothing here identifies the machine to anybody but our server. */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { readTextIfExists } from "./files.ts";

export type Machine = {
  hostname: string;
  /** `linux`, `windows`; of other systems Node's name. */
  os: string;
  arch: string;
  /** Null where the system has none. */
  machineId: string | null;
  bootId: string | null;
};

/**
 * machine-id(5) asks programs not to publish the id itself but a keyed hash of it; the constant is the key and
 * must never change: the server tells cloned machines apart by the result.
 */
const MACHINE_ID_KEY = "restic-manager/agent/machine-id/v1";

/** Reads the identity of this machine; what the system does not offer is null. */
export async function readMachine(): Promise<Machine> {
  const machineId = await readMachineId();
  return {
    hostname: hostname(),
    os: nameOfSystem(process.platform),
    arch: process.arch,
    machineId: machineId === null ? null : applicationId(machineId),
    bootId: await readLine("/proc/sys/kernel/random/boot_id"),
  };
}

/** The word of the wire, of releases and of the pages. */
export function nameOfSystem(platform: NodeJS.Platform): string {
  return platform === "win32" ? "windows" : platform;
}

async function readMachineId(): Promise<string | null> {
  if (process.platform !== "win32") return readLine("/etc/machine-id");
  const { readMachineGuid } = await import("./windows/running-program.ts");
  return readMachineGuid();
}

/** The id under which our server knows a machine-id. */
export function applicationId(machineId: string): string {
  return createHash("sha256").update(`${MACHINE_ID_KEY}\0${machineId}`).digest("hex").slice(0, 32);
}

/** The name under which programs of this machine, restic among them, sign what they write. */
export function readHostname(): string {
  return hostname();
}

async function readLine(path: string): Promise<string | null> {
  try {
    return (await readTextIfExists(path))?.trim() || null;
  } catch {
    // A locked-down sandbox hides these files; the agent works without them.
    return null;
  }
}
