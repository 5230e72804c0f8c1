/** The programs of a release and what each is made for, as data. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ReleasePlatform, ReleaseProgram } from "../../packages/protocol/src/release.ts";

export interface Program {
  readonly name: Exclude<ReleaseProgram, "restic">;
  /** The source file that it starts with, from the root of the project. */
  readonly entry: string;
  readonly platforms: readonly ReleasePlatform[];
  /** What its Node is told besides what all of them are. */
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

const known: readonly Program[] = [
  {
    name: "restic-manager-agent",
    entry: "packages/agent/src/main.ts",
    platforms: everywhere,
    // It is idle nearly always: room for new objects that it fills in bursts only is 5 MiB of every host's memory.
    nodeFlags: ["--max-semi-space-size=1"],
  },
  { name: "rmctl", entry: "packages/cli/src/main.ts", platforms: everywhere },
  {
    name: "restic-manager-server",
    entry: "packages/server/src/main.ts",
    platforms: linux,
    assets: "packages/server/dist/assets",
    assetInputs: "packages/server/dist/assets-inputs.json",
  },
];

/** The programs whose source is there. */
export function listPrograms(root: string): readonly Program[] {
  return known.filter(({ entry }) => existsSync(join(root, entry)));
}
