/** Where other replicas reach this one, when nobody says so. */
import { networkInterfaces } from "node:os";

/** Addresses that mean every address of the machine. */
const anyAddress: readonly string[] = ["0.0.0.0", "[::]"];

/**
 * @param listening where the server listens, such as `http://0.0.0.0:8080`
 * @param addresses of this machine, the first is taken
 * @returns `listening`, with an address that others can use when it has none
 */
export function replicaUrlOf(listening: string, addresses: readonly string[] = ownAddresses()): string {
  const url = new URL(listening);
  const [first] = addresses;
  if (!anyAddress.includes(url.hostname) || first === undefined) return listening;
  url.hostname = first.includes(":") ? `[${first}]` : first;
  return url.origin;
}

/** Those of version 4 first: a link-local one of version 6 is of no use to others. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
  const outward = all.filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  return outward.toSorted((a, b) => a.family.localeCompare(b.family)).map(({ address }) => address);
}
