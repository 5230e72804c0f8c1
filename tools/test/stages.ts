/**
 * What `make test` and `make check` run, as data.
 *
 * Invariant: every command works from the root of a clean clone after `npm ci` and needs nothing but what the
 * preflight put into the environment. Not here: how commands are run and counted.
 */

/** One line of the run. */
export interface Stage {
  readonly name: string;
  /** Each command that ends with 0 is one passed check. */
  readonly commands: readonly (readonly string[])[];
  /** The vitest project whose tests are counted one by one. */
  readonly project?: string;
  /** Only the test files below these. */
  readonly paths?: readonly string[];
  /** Test files at once; as vitest decides when absent. More than there are cores where tests mostly wait for programs. */
  readonly workers?: number;
  /** Part of `make check` too, which must stay under a minute. */
  readonly isQuick: boolean;
  /** It mostly waits for the clock on the wall: the stages after it do not wait for it. */
  readonly runsBeside?: boolean;
}

/** Every stage in its order: the cheap ones first, so that a slip shows early. */
export const stages: readonly Stage[] = [
  {
    name: "types",
    commands: [
      ["tsc", "-b"],
      ["tsc", "-p", "tsconfig.tests.json"],
      ["tsc", "-p", "packages/server/src/browser"],
    ],
    isQuick: true,
  },
  {
    name: "lint",
    commands: [["biome", "check", "--formatter-enabled=false", "."], ["oxlint", "--type-aware"], ["knip"]],
    isQuick: true,
  },
  { name: "format", commands: [["biome", "format", "."]], isQuick: true },
  { name: "boundaries", commands: [["node", "tools/boundaries/main.ts"]], isQuick: true },
  { name: "changelog", commands: [["node", "tools/changelog/main.ts", "--check"]], isQuick: true },
  // Reads what the stage "types" has compiled.
  { name: "docs", commands: [["node", "tools/docs/main.ts", "--check"]], isQuick: true },
  { name: "unit", commands: [], project: "unit", workers: 2, isQuick: true },
  { name: "build", commands: [["npm", "run", "--silent", "build"]], isQuick: false },
  { name: "waiting", commands: [], project: "waiting", workers: 3, isQuick: false, runsBeside: true },
  { name: "stores", commands: [], project: "stores", workers: 2, isQuick: false },
  { name: "integration", commands: [], project: "integration", workers: 3, isQuick: false },
  { name: "e2e", commands: [], project: "e2e", workers: 3, isQuick: false },
];
