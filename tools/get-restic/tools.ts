/**
 * The upstream programs that this project needs from outside, as data: names, versions, sums.
 *
 * Invariant: a release is listed only with a SHA-256 that was compared in several independent public
 * sources; a platform without such a sum is left out and the next way to get the program is tried.
 */

/** Programs that can be asked for. */
export const toolNames = ["restic", "rest-server", "rclone", "caddy", "nginx"] as const;
export type ToolName = (typeof toolNames)[number];

/** One upstream release file. */
export interface PinnedRelease {
  readonly url: string;
  readonly sha256: string;
}

/** What there is to know about one program. */
export interface Tool {
  readonly name: ToolName;
  /** A path in this variable wins over everything and must work. */
  readonly variable: string;
  /** Names of the executable on PATH and in a distribution's package. */
  readonly executables: readonly string[];
  /** Name of the package in Debian and Ubuntu. */
  readonly packageName: string;
  readonly minimumVersion: string;
  /** The distribution's own suite is tried before the newer ones: what people run is what is wanted. */
  readonly prefersOwnSuite?: true;
  /** This version and no other will do; see `onlyVersion`. */
  readonly exactVersion?: string;
  readonly versionArguments: readonly string[];
  readonly releaseVersion: string;
  /** Releases by Node's `platform-arch`. */
  readonly releases: Readonly<Record<string, PinnedRelease>>;
}

const upstream = "https://github.com/restic";

/** Every program by name. */
export const tools: Readonly<Record<ToolName, Tool>> = {
  restic: {
    name: "restic",
    variable: "RM_RESTIC",
    executables: ["restic"],
    packageName: "restic",
    // As MINIMUM_RESTIC of the agent.
    minimumVersion: "0.18.0",
    versionArguments: ["version"],
    releaseVersion: "0.19.1",
    releases: {
      "linux-x64": {
        url: `${upstream}/restic/releases/download/v0.19.1/restic_0.19.1_linux_amd64.bz2`,
        sha256: "f415415624dcc452f2a02b8c33641791a8c6d6d3b65bbb3543fcf9a25151585c",
      },
      "linux-arm64": {
        url: `${upstream}/restic/releases/download/v0.19.1/restic_0.19.1_linux_arm64.bz2`,
        sha256: "a5f64aaab53d51e311fa3829124c5b703f2d14cf187d8640b6be3b2b49376465",
      },
      "win32-x64": {
        url: `${upstream}/restic/releases/download/v0.19.1/restic_0.19.1_windows_amd64.zip`,
        sha256: "da948ad707ed690426473aaba2046cd61f8f90f6f0e7dab6be0d5796531de67d",
      },
    },
  },
  "rest-server": {
    name: "rest-server",
    variable: "RM_REST_SERVER",
    executables: ["rest-server", "restic-rest-server"],
    packageName: "restic-rest-server",
    // Older ones lack the bcrypt and append-only behaviour that the tests rely on.
    minimumVersion: "0.13.0",
    versionArguments: ["--version"],
    releaseVersion: "0.14.0",
    releases: {
      "linux-x64": {
        url: `${upstream}/rest-server/releases/download/v0.14.0/rest-server_0.14.0_linux_amd64.tar.gz`,
        sha256: "4c9c95bc079a0334e81fad379b19dc5c3353c71c2c88d652cafce2081c2b1c66",
      },
    },
  },
  // For tests: restic reaches through it what restic does not know itself, and its `serve sftp` is an SFTP server.
  rclone: {
    name: "rclone",
    variable: "RM_RCLONE",
    executables: ["rclone"],
    packageName: "rclone",
    // The oldest one that the tests have run with.
    minimumVersion: "1.60.1",
    versionArguments: ["version"],
    releaseVersion: "1.75.2",
    releases: {},
  },
  // For tests: the reverse proxies of docs/reverse-proxy.md. Out of their packages, so nothing listens on this machine.
  caddy: {
    name: "caddy",
    variable: "RM_CADDY",
    executables: ["caddy"],
    packageName: "caddy",
    minimumVersion: "2.6.0",
    prefersOwnSuite: true,
    versionArguments: ["version"],
    releaseVersion: "2.6.2",
    releases: {},
  },
  nginx: {
    name: "nginx",
    variable: "RM_NGINX",
    executables: ["nginx"],
    packageName: "nginx",
    minimumVersion: "1.18.0",
    prefersOwnSuite: true,
    versionArguments: ["-v"],
    releaseVersion: "1.22.1",
    releases: {},
  },
};

/** The same program in one version, be it older than what is supported: for trying what we say of it. */
export function onlyVersion(tool: Tool, version: string): Tool {
  return { ...tool, minimumVersion: version, exactVersion: version };
}
