/**
 * What a client asks for, and every reason why it can't be done that shows in the request itself. All problems are told at
 * once, each with its field. What the snapshot and the host's disk say of it, the agent tells.
 */
import { maxRestorePaths, overwritePolicy, type RestoreSpec, snapshotPath } from "@restic-manager/protocol";
import { z } from "zod";
import { AppError, type FieldProblem } from "../../platform/errors.ts";

const anyPath = z.string().min(1).max(32_768);
const pattern = z.string().min(1).max(4096);
const typedName = z.string().max(253);

/** Shapes only: what is in the fields is looked at by `findProblems`. */
export const restoreRequest = z.strictObject({
  /** Full id. */
  snapshot_id: z.string().min(1).max(64),
  paths: z.array(anyPath).min(1).max(maxRestorePaths),
  target: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("directory"), path: anyPath.optional() }),
    z.strictObject({
      kind: z.literal("in_place"),
      overwrite: overwritePolicy.optional(),
      confirm_name: typedName,
    }),
  ]),
  keep_ownership: z.boolean().optional(),
  includes: z.array(pattern).max(1000).optional(),
  excludes: z.array(pattern).max(1000).optional(),
  dry_run: z.boolean().optional(),
  verify: z.boolean().optional(),
  /** Another host of the fleet that the files go to. */
  to: z.strictObject({ host_id: z.string().max(64), confirm_name: typedName }).optional(),
  path_map: z
    .array(z.strictObject({ from: anyPath, to: anyPath }))
    .max(100)
    .optional(),
});
export type RestoreRequest = z.infer<typeof restoreRequest>;

/** With its envelope and escapes a command must fit a frame of 1 MiB. */
const maxSpecBytes = 512 * 1024;

/** Every field that is wrong by its wire name. @param windows whether the files go to a Windows host */
export function findProblems(request: RestoreRequest, windows: boolean): FieldProblem[] {
  const { paths, target, includes = [], excludes = [], path_map: pathMap = [] } = request;
  const size = JSON.stringify(request).length;
  return [
    ...paths.flatMap((path, index) => findPathProblem(`paths.${index}`, path)),
    ...(target.kind === "directory" && target.path !== undefined
      ? findTargetProblem("target.path", target.path, windows)
      : []),
    ...[
      ...includes.map((text, index) => ({ text, path: `includes.${index}` })),
      ...excludes.map((text, index) => ({ text, path: `excludes.${index}` })),
    ].flatMap(({ text, path }) => findPatternProblem(path, text)),
    ...(includes.length > 0 && excludes.length > 0
      ? [{ path: "excludes", message: "Say what to restore, or what to leave out, not both." }]
      : []),
    ...pathMap.flatMap(({ from, to }, index) => [
      ...findPathProblem(`path_map.${index}.from`, from),
      ...findMappedProblem(`path_map.${index}.to`, to, windows && target.kind === "in_place"),
      ...(paths.some((path) => isWithin(path, from))
        ? []
        : [{ path: `path_map.${index}.from`, message: `Nothing that is selected lies in ${shown(from)}.` }]),
    ]),
    ...(size > maxSpecBytes
      ? [
          {
            path: "paths",
            message: "These paths are too long together. Select the folders that they lie in.",
          },
        ]
      : []),
  ];
}

function findPathProblem(path: string, given: string): FieldProblem[] {
  if (snapshotPath.safeParse(given).success) return [];
  const why = given.startsWith("base64:")
    ? "is not the base64 of an absolute path without “..”"
    : given.split("/").includes("..")
      ? "leads upward with “..”. Name the folder itself"
      : given.startsWith("/")
        ? "has an empty name, a “.” or a NUL in it"
        : "is not absolute. Begin it at the snapshot's root, with a slash";
  return [{ path, message: `${shown(given)} ${why}.` }];
}

/** As the agent takes a target: absolute, or with a word for a folder of its host in front. */
const beginsOnUnix = /^(?:\/|(?:\$HOME|\$\{HOME\}|~)(?:\/|$))/;
const beginsOnWindows =
  /^(?:[A-Z]:[/\\]|\\\\[^\\/]+[\\/][^\\/]+|(?:\$HOME|\$\{HOME\}|~|%USERPROFILE%|%ProgramData%)(?:[/\\]|$))/i;

function findTargetProblem(path: string, given: string, windows: boolean): FieldProblem[] {
  const problem = (why: string) => [{ path, message: `${shown(given)} ${why}.` }];
  if (given.includes("\0")) return problem("has a NUL in it, which no name can");
  if (given.split(/[/\\]/).includes("..")) return problem("leads upward with “..”. Name the folder itself");
  if ((windows ? beginsOnWindows : beginsOnUnix).test(given)) return [];
  const begin = windows ? "a drive, such as C:\\, %ProgramData%\\ or %USERPROFILE%\\" : "/, $HOME/ or ~/";
  return problem(`is not absolute. Begin it with ${begin}`);
}

function findMappedProblem(path: string, given: string, isDrive: boolean): FieldProblem[] {
  const problem = (why: string) => [{ path, message: `${shown(given)} ${why}.` }];
  if (given.includes("\0") || given.split(/[/\\]/).includes(".."))
    return problem("leads upward or has a NUL in it");
  if (isDrive ? /^[A-Za-z]:[/\\]/.test(given) : given.startsWith("/")) return [];
  return problem(isDrive ? "must begin with a drive, such as D:\\" : "must begin with a slash");
}

function findPatternProblem(path: string, given: string): FieldProblem[] {
  if (/[\0\r\n]/.test(given)) return [{ path, message: `The pattern ${shown(given)} spans lines.` }];
  if (!given.startsWith("/")) return [];
  const message = `The pattern ${shown(given)} begins at the root. Patterns hold inside the selected folders: begin with a name.`;
  return [{ path, message }];
}

/** Paths that are not UTF-8 are spelled in base64, where only the same one is sure to lie in another. */
function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === "/" || path.startsWith(`${folder}/`) || path.startsWith("base64:");
}

const shown = (text: string): string => `“${text.slice(0, 200)}${text.length > 200 ? "…" : ""}”`;

/** @throws AppError `restore.invalid` with every problem */
export function refuseProblems(problems: FieldProblem[]): void {
  const [first] = problems;
  if (first)
    throw new AppError("unprocessable", "restore.invalid", first.message, {
      details: problems.slice(0, 100),
    });
}

/** The spec behind a request that has no problem. */
export function toSpec(request: RestoreRequest, from: RestoreSpec["from"]): RestoreSpec {
  const { snapshot_id, paths, target } = request;
  return {
    kind: "restore",
    snapshot_id,
    ...(from ? { from } : {}),
    paths: [...new Set(paths)],
    target:
      target.kind === "directory"
        ? { kind: "directory", ...(target.path === undefined ? {} : { path: target.path }) }
        : { kind: "in_place", overwrite: target.overwrite ?? "always" },
    keep_ownership: request.keep_ownership ?? false,
    includes: request.includes ?? [],
    excludes: request.excludes ?? [],
    dry_run: request.dry_run ?? false,
    verify: request.verify ?? false,
    path_map: request.path_map ?? [],
  };
}
