/** Whether a host runs older programs than this server serves. */
import { type ReleaseOutline, servedVersion } from "../artefacts/artefacts.ts";
import { type Host, knowsJobKind } from "../hosts/hosts.ts";
import { driftOfHost, releaseNameOf } from "../updates/updates.ts";

/** The version that is served, where the host is behind it. */
export interface Behind {
  agent: string | null;
  restic: string | null;
  /** False: its agent is too old to replace anything. */
  updatable: boolean;
}

/** As a row of the fleet's table shows it. */
export interface Outdated {
  words: string;
  versions: string;
}

export function behindOf(host: Host, release: ReleaseOutline): Behind {
  const served = (program: "agent" | "restic") =>
    // Before its first word nothing is known of it.
    host.firstConnectedAt !== null && driftOfHost(host, program, release) === "behind"
      ? (servedVersion(release, releaseNameOf[program], host) ?? null)
      : null;
  return { agent: served("agent"), restic: served("restic"), updatable: knowsJobKind(host, "update") };
}

/** The outdated programs of a host, in few words and with their versions; null when there are none. */
export function outdatedOf(host: Host, behind: Behind): Outdated | null {
  const programs = (["agent", "restic"] as const).filter((program) => behind[program] !== null);
  if (programs.length === 0) return null;
  const versionOf = { agent: host.agentVersion ?? "unknown", restic: host.resticVersion ?? "missing" };
  return {
    words: `${programs.join(", ")} behind`,
    versions: programs.map((program) => `${program} ${versionOf[program]}`).join(", "),
  };
}
