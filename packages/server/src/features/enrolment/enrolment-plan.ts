/**
 * What an operator asks for, checked as a whole: every wrong field is named at once, so that a form can show all
 * of them beside their inputs. Pure, apart from drawing the password that nobody gave.
 */
import { hostName as hostNameRule, type RepositoryAccess } from "@restic-manager/protocol";
import { type FieldProblem, invalidFields } from "../../platform/errors.ts";
import { newPassword } from "../../platform/random.ts";
import { readTags } from "../hosts/hosts.ts";
import { buildAccess, readLocation } from "../repositories/repositories.ts";
import { readInitialPaths } from "./initial-paths.ts";

/** As typed; an absent field and an empty user or user's password are the same. */
export interface PlanInput {
  hostName: string;
  repoUrl: string;
  repoUsername?: string | undefined;
  /** Encrypts the repository; made by us when absent. Empty is refused. */
  repoPassword?: string | undefined;
  /** The rest-server's; the repository's when absent and a user is named. */
  restPassword?: string | undefined;
  tags?: readonly string[] | undefined;
  initialPaths?: readonly string[] | undefined;
}

export interface Plan {
  access: RepositoryAccess;
  tags: string[];
  initialPaths: string[];
  /** Null when the operator gave one. */
  mintedPassword: string | null;
}

/** A field's problem with the code that stands for it. */
interface CodedProblem extends FieldProblem {
  code: string;
}

/** @throws AppError with the code of the first wrong field, and all of them in its details by their wire names */
export function readPlan(input: PlanInput): Plan {
  const problems: CodedProblem[] = [];
  if (!hostNameRule.safeParse(input.hostName).success) {
    const message =
      "Use letters, digits, dots, hyphens and underscores; begin and end with a letter or digit.";
    problems.push({ path: "hostname", code: "hosts.name_invalid", message });
  }
  const tags = readTags(input.tags ?? []);
  if ("problem" in tags) problems.push({ path: "tags", code: "hosts.tag_invalid", message: tags.problem });
  const paths = readInitialPaths(input.initialPaths ?? []);
  if ("problem" in paths) problems.push({ path: "initial_paths", code: paths.code, message: paths.problem });
  const mintedPassword = input.repoPassword === undefined ? newPassword() : null;
  const access = readAccess(input, input.repoPassword ?? mintedPassword ?? "");
  if ("problems" in access) problems.push(...access.problems);
  if ("problem" in tags || "problem" in paths || "problems" in access || problems.length > 0) {
    throw invalidFields(problems[0]?.code ?? "request.invalid", problems);
  }
  return { access: access.access, tags: tags.tags, initialPaths: paths.paths, mintedPassword };
}

function readAccess(
  input: PlanInput,
  password: string,
): { access: RepositoryAccess } | { problems: CodedProblem[] } {
  const place = readLocation(input.repoUrl);
  if ("problem" in place) {
    return {
      problems: [{ path: "repo_url", code: "repositories.location_invalid", message: place.problem }],
    };
  }
  const restUsername = input.repoUsername || place.username;
  const named = restUsername !== null && place.location.startsWith("rest:");
  const restPassword = input.restPassword || place.password || (named ? password : null);
  const built = buildAccess({ location: place.location, restUsername, password, restPassword });
  if ("access" in built) return built;
  const code = "repositories.credentials_invalid";
  return { problems: built.problems.map((problem) => ({ ...problem, code })) };
}
