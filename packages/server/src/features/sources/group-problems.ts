/** What is wrong with what a person wrote about a source group or a hook: one sentence for each field. */
import { type FieldProblem, invalidFields } from "../../platform/errors.ts";

type GroupProblemCode =
  | "sources.invalid"
  | "sources.path_relative"
  | "sources.path_foreign"
  | "sources.path_invalid"
  | "sources.too_large"
  | "sources.hook_too_large";

export interface GroupProblem extends FieldProblem {
  /** The code of the refusal when this is the first problem. */
  code: GroupProblemCode;
}

/** @throws AppError with the code of the first problem and all of them in `details`, by their fields on the wire */
export function refuseProblems(problems: readonly GroupProblem[]): void {
  const [first] = problems;
  if (!first) return;
  throw invalidFields(
    first.code,
    problems.map(({ path, message }) => ({ path, message })),
  );
}
