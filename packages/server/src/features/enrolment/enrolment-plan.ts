/**
 * What an operator asks for, checked as a whole: every wrong field is named at once, so that a form can show all
 * of them beside their inputs. Pure, apart from drawing the password that nobody gave.
 */
import { hostName as hostNameRule, type RepositoryAccess } from "@restic-manager/protocol";
import { type FieldProblem, invalidFields } from "../../platform/errors.ts";
import { newPassword } from "../../platform/random.ts";
import { readTags } from "../hosts/hosts.ts";
import { editAccess, readLocation } from "../repositories/repositories.ts";
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
  /** restic's variables, certificates to trust and options, as the storage takes them. */
  environment?: Readonly<Record<string, string>> | undefined;
  caCertificate?: string | undefined;
  options?: Readonly<Record<string, string>> | undefined;
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
  const restUsername = input.repoUsername || ("username" in place ? place.username : null);
  const isRest = "location" in place && place.location.startsWith("rest:");
  const ofUrl = "password" in place ? place.password : null;
  const restPassword = input.restPassword || ofUrl || (isRest && restUsername !== null ? password : null);
  const edited = editAccess(null, {
    ...{
      location: input.repoUrl,
      restUsername: restUsername ?? undefined,
      password,
      restPassword: restPassword ?? undefined,
    },
    ...{ environment: input.environment, caCertificate: input.caCertificate, options: input.options },
  });
  if ("access" in edited) return edited;
  const codeOf = ({ path }: FieldProblem) =>
    path === "repo_url" ? "repositories.location_invalid" : "repositories.credentials_invalid";
  return { problems: edited.problems.map((problem) => ({ ...problem, code: codeOf(problem) })) };
}
