/** What a host shall be and where it backs up to: the same for an enrolment token and for a machine that is accepted. */
import type { Call } from "./call.ts";
import { usageProblem } from "./problem.ts";

/** @throws Problem of usage without a repository, or without the value of a variable */
export function planOf(call: Call, hostname: string): Record<string, unknown> {
  const { args, world } = call;
  const repository = args.text("repository");
  if (repository === undefined) throw usageProblem("Say where the host backs up to: --repository URL.");
  return {
    hostname,
    repo_url: repository,
    ...given("repo_username", args.text("username")),
    ...given("repo_password", world.env.RM_REPO_PASSWORD),
    ...given("rest_password", world.env.RM_REST_PASSWORD),
    environment: Object.fromEntries(args.texts("env").map((name) => [name, fromHere(call, name)])),
    tags: args.texts("tag"),
    initial_paths: args.texts("path"),
  };
}

function fromHere({ world }: Call, name: string): string {
  const value = world.env[name];
  // The name is not repeated: whoever typed NAME=value here typed a secret.
  if (value === undefined)
    throw usageProblem("--env takes the name of a variable that is set here, not a value.");
  return value;
}

const given = (name: string, value: string | undefined): Record<string, string> =>
  value === undefined || value === "" ? {} : { [name]: value };
