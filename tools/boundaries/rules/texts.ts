/**
 * Traces of the machine that a file was written on: they mean nothing to whoever clones the project.
 */
import type { Violation } from "../check.ts";
import type { TreeFile } from "../tree.ts";

/** Put together from parts, so that this file does not break its own rule. */
const machineFolder = ["", "work", ""].join("/");
const toolLibrary = ["/", "library/"].join(".");

/** The folder counts only at the start of a path: `frame` + folder in a relative path is somebody's own. */
const machinePath = new RegExp(`(^|[^\\w.~-])${machineFolder}|${toolLibrary.replace(".", "\\.")}`);

/** Checks every line of one text file. */
export function textRules(file: TreeFile): Violation[] {
  return file.text.split("\n").flatMap((line, index) => {
    const message = "names a path of a build machine";
    return machinePath.test(line)
      ? [{ path: file.path, line: index + 1, rule: "machine-path", message }]
      : [];
  });
}
