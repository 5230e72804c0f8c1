/** The programs of a release and what each is made for, as data. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ReleasePlatform, ReleaseProgram } from "../../packages/protocol/src/release.ts";

export interface Program {
  readonly name: Exclude<ReleaseProgram, "restic">;
  /** The source file that it starts with, from the root of the project. */
  readonly entry: string;
  readonly platforms: readonly ReleasePlatform[];
  /** What its Node is told besides what all of them are; baked in, nobody can add to it when the program starts. */
  readonly nodeFlags?: readonly string[];
  /** A folder that goes inside, from the root; made by `npm run build`. */
  readonly assets?: string;
  /** The list of the source files of those, made with them. */
  readonly assetInputs?: string;
}

const linux: readonly ReleasePlatform[] = [
  { os: "linux", arch: "x64" },
  { os: "linux", arch: "arm64" },
];
const everywhere: readonly ReleasePlatform[] = [...linux, { os: "windows", arch: "x64" }];

/**
 * V8's room for new objects, MiB. On a machine with much memory it would double up to 128 MiB whenever much passes through,
 * such as a million lines of restic, and never shrink: an agent is a guest on its host. Less saves 5 MiB of an idle agent,
 * and lets it grow by 50 MiB instead of 20 over those lines, because short-lived objects outlive what little room there is.
 */
const agentNewSpaceMib = 16;

/**
 * The same of the server, which would keep 128 MiB for it. 10,000 agents that dial at once cost as much CPU time as without a
 * bound. When it is quiet V8 would make do with 1 MiB, and collect more than once a second for 10,000 idle agents: with 4 it
 * takes a tenth less CPU time (docs/benchmarks.md).
 */
const serverNewSpaceMib = { least: 4, most: 16 };

const known: readonly Program[] = [
  {
    name: "restic-manager-agent",
    entry: "packages/agent/src/main.ts",
    platforms: everywhere,
    nodeFlags: [`--max-semi-space-size=${agentNewSpaceMib}`],
  },
  { name: "rmctl", entry: "packages/cli/src/main.ts", platforms: everywhere },
  {
    name: "restic-manager-server",
    entry: "packages/server/src/main.ts",
    platforms: linux,
    nodeFlags: [
      `--min-semi-space-size=${serverNewSpaceMib.least}`,
      `--max-semi-space-size=${serverNewSpaceMib.most}`,
    ],
    assets: "packages/server/dist/assets",
    assetInputs: "packages/server/dist/assets-inputs.json",
  },
];

/** The programs whose source is there. */
export function listPrograms(root: string): readonly Program[] {
  return known.filter(({ entry }) => existsSync(join(root, entry)));
}
