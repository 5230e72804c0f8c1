/** What the packages of Debian hold and say, as data made from the files of a release. */
import { join } from "node:path";
import { artefactName, type ReleaseArch } from "../../packages/protocol/src/release.ts";
import { type Deb, type DebFile, debArchOf } from "./deb.ts";

export interface ReleaseFolder {
  readonly root: string;
  /** Where the executables of the release lie. */
  readonly folder: string;
  readonly version: string;
  /** The restic that goes along for Linux, by architecture. */
  readonly resticVersions: Partial<Readonly<Record<ReleaseArch, string>>>;
}

/** What Node's program needs of the system: the oldest that it is built for. */
const neededByNode = "libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1 | libgcc1";

/** A release's packages for one architecture. `hasProgram` says which of our programs there are. */
export function debsOf(
  release: ReleaseFolder,
  arch: ReleaseArch,
  hasProgram: (name: string) => boolean,
): Deb[] {
  const restic = release.resticVersions[arch];
  return [
    ...(hasProgram("restic-manager-agent") ? [agentDeb(release, arch, restic !== undefined)] : []),
    ...(hasProgram("rmctl") ? [rmctlDeb(release, arch)] : []),
    ...(restic === undefined ? [] : [resticDeb(release, arch, restic)]),
  ];
}

function agentDeb(release: ReleaseFolder, arch: ReleaseArch, hasRestic: boolean): Deb {
  const { root, folder, version } = release;
  const name = "restic-manager-agent";
  const program = "opt/restic-manager/bin/restic-manager-agent";
  const scripts = join(root, "deploy/deb", name);
  return {
    ...{ name, version, arch: debArchOf[arch] },
    summary: "agent of restic-manager: runs restic on this host for a server that it dials",
    fields: {
      Depends: neededByNode,
      // Debian's own restic is older than what the agent takes.
      ...(hasRestic ? { Recommends: "restic-manager-restic" } : {}),
    },
    files: [
      {
        path: program,
        content: { copyOf: join(folder, artefactName({ program: name, version, os: "linux", arch })) },
        isProgram: true,
      },
      { path: `usr/bin/${name}`, content: { linkTo: `/${program}` } },
      {
        path: `usr/lib/systemd/system/${name}.service`,
        content: { copyOf: join(root, "deploy", `${name}.service`) },
      },
      copyright(release, name),
    ],
    scripts: Object.fromEntries(["postinst", "prerm", "postrm"].map((step) => [step, join(scripts, step)])),
  };
}

function rmctlDeb(release: ReleaseFolder, arch: ReleaseArch): Deb {
  const { folder, version } = release;
  const file = artefactName({ program: "rmctl", version, os: "linux", arch });
  return {
    ...{ name: "rmctl", version, arch: debArchOf[arch] },
    summary: "restic-manager on the command line",
    fields: { Depends: neededByNode },
    files: [
      { path: "usr/bin/rmctl", content: { copyOf: join(folder, file) }, isProgram: true },
      copyright(release, "rmctl"),
    ],
  };
}

/** Beside the agent, where it looks first: whatever restic the host has of its own stays what it is. */
function resticDeb(release: ReleaseFolder, arch: ReleaseArch, version: string): Deb {
  const name = "restic-manager-restic";
  const file = artefactName({ program: "restic", version, os: "linux", arch });
  return {
    ...{ name, version, arch: debArchOf[arch] },
    summary: "restic for the agent of restic-manager",
    fields: { Enhances: "restic-manager-agent" },
    files: [
      {
        path: "opt/restic-manager/bin/restic",
        content: { copyOf: join(release.folder, file) },
        isProgram: true,
      },
      copyright(release, name),
    ],
  };
}

const copyright = ({ folder }: ReleaseFolder, name: string): DebFile => ({
  path: `usr/share/doc/${name}/copyright`,
  content: { copyOf: join(folder, "THIRD-PARTY-LICENSES.txt") },
});
