/**
 * The wizard's form as text: what its fields are called, how they begin, and the wish that they make. What is typed comes
 * back as it was; what it can't be is left to the rules of a restore, so that all problems are said at once.
 */
import { overwritePolicy } from "@restic-manager/protocol";
import type { RestoreRequest } from "./restore-request.ts";

/** By name on the wire; paths are apart, since there are many. */
export const wizardFields = [
  "snapshot",
  "lines",
  "to",
  "target",
  "directory",
  "overwrite",
  "keep_ownership",
  "includes",
  "excludes",
  "path_map",
  "verify",
  "confirm_name",
] as const;
export type WizardField = (typeof wizardFields)[number];
/** `paths` are those that the tree chose, exactly; `lines` are those that somebody typed. */
export type WizardValues = Record<WizardField, string> & { paths: string[] };

export const overwritePolicies = overwritePolicy.options;

export const emptyWizard: WizardValues = {
  snapshot: "",
  lines: "",
  paths: [],
  to: "",
  target: "directory",
  directory: "",
  overwrite: "always",
  keep_ownership: "",
  includes: "",
  excludes: "",
  path_map: "",
  verify: "",
  confirm_name: "",
};

const linesOf = (text: string): string[] => text.split(/\r?\n/).filter((line) => line.trim() !== "");
/** A pattern or a place: blanks at its ends are slips. A path in a snapshot may end with one. */
const trimmedLines = (text: string): string[] => linesOf(text).map((line) => line.trim());

/** Every selection once: those of the tree, then those typed. */
export const chosenPaths = (values: WizardValues): string[] => [
  ...new Set([...values.paths, ...linesOf(values.lines)]),
];

const arrow = "=>";

/** `/from => /to` a line; a line without an arrow has no place to go, which the rules then say. */
function readPathMap(text: string): { from: string; to: string }[] {
  return trimmedLines(text).map((line) => {
    const [from = "", ...to] = line.split(arrow);
    return { from: from.trim(), to: to.join(arrow).trim() };
  });
}

/** What was typed as a wish. @param toHostId the other host that was named; null = where the files are from */
export function readWizard(values: WizardValues, toHostId: string | null, dryRun: boolean): RestoreRequest {
  const { confirm_name, overwrite } = values;
  const [includes, excludes] = [trimmedLines(values.includes), trimmedLines(values.excludes)];
  const pathMap = readPathMap(values.path_map);
  const policy = overwritePolicies.find((known) => known === overwrite);
  const directory = values.directory.trim();
  return {
    snapshot_id: values.snapshot,
    paths: chosenPaths(values),
    target:
      values.target === "in_place"
        ? { kind: "in_place", confirm_name, ...(policy ? { overwrite: policy } : {}) }
        : { kind: "directory", ...(directory === "" ? {} : { path: directory }) },
    ...(values.keep_ownership === "on" ? { keep_ownership: true } : {}),
    ...(includes.length > 0 ? { includes } : {}),
    ...(excludes.length > 0 ? { excludes } : {}),
    ...(pathMap.length > 0 ? { path_map: pathMap } : {}),
    ...(values.verify === "on" ? { verify: true } : {}),
    ...(dryRun ? { dry_run: true } : {}),
    ...(toHostId === null ? {} : { to: { host_id: toHostId, confirm_name } }),
  };
}

const fieldOf: readonly (readonly [RegExp, WizardField])[] = [
  [/confirm_name$/, "confirm_name"],
  [/^paths/, "lines"],
  [/^target/, "directory"],
  [/^to/, "to"],
  [/^includes/, "includes"],
  [/^excludes/, "excludes"],
  [/^path_map/, "path_map"],
  [/^snapshot_id/, "snapshot"],
];

/** The problems of an operation by the fields of the form; the first of each. */
export function wizardProblems(
  errors: Readonly<Record<string, string>>,
): Partial<Record<WizardField, string>> {
  const problems: Partial<Record<WizardField, string>> = {};
  for (const [path, message] of Object.entries(errors)) {
    const field = fieldOf.find(([pattern]) => pattern.test(path))?.[1];
    if (field) problems[field] ??= message;
  }
  return problems;
}
