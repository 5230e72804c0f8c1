/** Runs one command line: finds the command, gives it the server, prints what went wrong, and says what to end with. */
import type { Call } from "./call.ts";
import { parseCommandLine } from "./command-line.ts";
import { exitCodes } from "./exit-codes.ts";
import type { World } from "./platform/world.ts";
import { Problem } from "./problem.ts";
import { jsonLine, visible } from "./text.ts";

/** @returns the exit code; never rejects */
export async function run(argv: readonly string[], world: World): Promise<number> {
  try {
    const parsed = parseCommandLine(argv);
    if (parsed.kind === "help") {
      await world.out.write(parsed.text);
      return exitCodes.done.code;
    }
    const { command, args, json } = parsed;
    const client = async () => {
      const [{ Client }, { findLogin }] = await Promise.all([import("./client.ts"), import("./login.ts")]);
      return new Client(await findLogin(world), world.interrupted);
    };
    const call: Call = { args, json, world, client };
    const action = await command.load();
    return (await action(call)) ?? exitCodes.done.code;
  } catch (error) {
    const problem = asProblem(error);
    await world.err.write(argv.includes("--json") ? jsonLine(asDocument(problem)) : asText(problem));
    return exitCodes[problem.outcome].code;
  }
}

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { code } = (error ?? {}) as { code?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  // Of the system, such as a login file that can't be written.
  if (typeof code === "string" && error instanceof Error && "syscall" in error) {
    return new Problem("internal", "cli.system", `${message}.`);
  }
  return new Problem("internal", "cli.mistake", `rmctl made a mistake: ${message}`);
}

/** As the API's errors are. */
const asDocument = (problem: Problem) => ({
  code: problem.code,
  message: problem.message,
  ...(problem.details === undefined ? {} : { details: problem.details }),
  request_id: problem.requestId,
});

function asText(problem: Problem): string {
  const fields = fieldsOf(problem).map(({ path, message }) => `  ${visible(path)}: ${visible(message)}\n`);
  const under = problem.requestId === null ? "" : `, request ${visible(problem.requestId)}`;
  return `rmctl: ${visible(problem.message)}\n${fields.join("")}(${visible(problem.code)}${under})\n`;
}

/** The problems of single fields, but not the one that is the message already. */
function fieldsOf({ details, message }: Problem): { path: string; message: string }[] {
  if (!Array.isArray(details)) return [];
  return details.filter(
    (field): field is { path: string; message: string } =>
      typeof field?.path === "string" && typeof field?.message === "string" && field.message !== message,
  );
}
