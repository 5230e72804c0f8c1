/**
 * The house as data: ranks, package directions, budgets and words, exactly as architecture.md states them.
 *
 * Invariant: this is the only place that knows a figure or a name of the architecture; the rules read it.
 * Changing a line here is an architecture decision and belongs in docs/adr.
 * Not here: how anything is checked.
 */

/** Rank of every server slice. A slice may import slices of a lower rank only. */
export const sliceRanks: Readonly<Record<string, number>> = {
  artefacts: 1,
  audit: 1,
  users: 2,
  hosts: 3,
  repositories: 3,
  enrolment: 4,
  "agent-link": 4,
  installation: 5,
  "pending-hosts": 5,
  jobs: 5,
  snapshots: 6,
  sources: 6,
  schedules: 7,
  maintenance: 7,
  rotation: 7,
  restore: 7,
  updates: 7,
  alerts: 8,
  notifications: 8,
  overview: 9,
  metrics: 9,
};

/** What one workspace package may import of ours, and how many runtime dependencies of others it may have. */
export interface PackageRule {
  readonly mayImport: readonly string[];
  /** Other people's runtime packages; ours do not count. `undefined` = never shipped, so no budget. */
  readonly dependencyBudget: number | undefined;
  /** A program has main.ts, start.ts and config.ts, which the others of the package may not import. */
  readonly isProgram: boolean;
}

/** Every workspace package by folder name. A package that is not listed fails the check. */
export const packageRules: Readonly<Record<string, PackageRule>> = {
  protocol: { mayImport: [], dependencyBudget: 2, isProgram: false },
  agent: { mayImport: ["protocol"], dependencyBudget: 6, isProgram: true },
  cli: { mayImport: ["protocol"], dependencyBudget: 4, isProgram: true },
  server: { mayImport: ["protocol"], dependencyBudget: 24, isProgram: true },
  testkit: { mayImport: ["protocol", "agent", "server"], dependencyBudget: undefined, isProgram: false },
};

/** The scope of our own packages in import specifiers. */
export const packageScope = "@restic-manager/";

/** Hard limits; the aims (300 and 40) are a reviewer's business. */
export const maxFileLines = 500;
export const maxFunctionLines = 80;

/** Words that say nothing about what a thing is. Their plural is forbidden too. */
export const forbiddenWords: readonly string[] = [
  "util",
  "helper",
  "common",
  "misc",
  "manager",
  "service",
  "base",
  "handle",
  "process",
];

/** Names that contain a forbidden word for a reason outside our reach, each with that reason. */
export const allowedNames: Readonly<Record<string, string>> = {
  "restic-manager": "the product's name",
  resticManager: "the product's name",
  baseUrl: "the setting RM_BASE_URL, named in the product reference",
  base_url: "the same setting in a configuration file",
  base64: "the encoding",
  base64url: "the encoding",
  "tsconfig.base": "the compiler's own custom for a configuration that others extend",
};

/** Names of files that only repeat a role and hide the noun. */
export const rolesWithoutNoun: readonly string[] = [
  "api",
  "constants",
  "helpers",
  "index",
  "models",
  "pages",
  "store",
  "types",
  "utils",
  "views",
];

/** Role suffixes that architecture.md calls confetti: `hosts.types.ts` belongs into `hosts.ts`. */
export const confettiRoles: readonly string[] = ["constants", "helpers", "models", "types", "utils"];

/** Folders that hold nothing of ours, or nothing that is source. */
export const ignoredFolders: readonly string[] = [
  ".cache",
  ".demo",
  ".git",
  "build",
  "coverage",
  "dist",
  "node_modules",
  "pictures",
  "results",
];
