/** Whether a host runs older programs than this server serves. */
import { type Release, servedVersion } from "../artefacts/artefacts.ts";
import { type Host, knowsJobKind } from "../hosts/hosts.ts";
import { driftOfHost, releaseNameOf } from "../updates/updates.ts";

/** The version that is served, where the host is behind it. */
export interface Behind {
  agent: string | null;
  restic: string | null;
  /** False: its agent is too old to replace anything. */
  updatable: boolean;
}

export function behindOf(host: Host, release: Release): Behind {
  const served = (program: "agent" | "restic") =>
    // Before its first word nothing is known of it.
    host.firstConnectedAt !== null && driftOfHost(host, program, release) === "behind"
      ? (servedVersion(release, releaseNameOf[program], host) ?? null)
      : null;
  return { agent: served("agent"), restic: served("restic"), updatable: knowsJobKind(host, "update") };
}

/** The outdated programs of a host in a few words; null when there are none. */
export function outdatedWords(host: Host, behind: Behind): string | null {
  const words = [
    ...(behind.agent === null ? [] : [`agent ${host.agentVersion ?? ""}`]),
    ...(behind.restic === null
      ? []
      : [host.resticVersion === null ? "no restic" : `restic ${host.resticVersion}`]),
  ];
  return words.length === 0 ? null : words.join(", ");
}
