/** docs/reference/cli.md: every command of rmctl with its words and options, and what it ends with. */
import { everywhere, spelledOption, synopsis } from "../../packages/cli/src/command-line.ts";
import { type Command, commands } from "../../packages/cli/src/commands.ts";
import { exitCodes } from "../../packages/cli/src/exit-codes.ts";
import { code, page, table } from "./markdown.ts";

const intro = `# rmctl

The API on the command line. How to begin: [rmctl](../user/rmctl.md). \`rmctl help COMMAND\` tells the same as this page.

Options come after the command. Every command takes:`;

const environmentIntro = `## Environment

What rmctl takes from the environment; secrets come only so, from a terminal or from stdin, never from arguments.`;

const environment: readonly (readonly [string, string])[] = [
  ["RM_SERVER", "The server's address: scheme, host and port. Wins over the login."],
  ["RM_API_TOKEN", "The API token for it; also read by `rmctl login` in place of stdin."],
  ["RM_REPO_PASSWORD", "The password that encrypts a new repository, for `rmctl enrol create`."],
  ["RM_REST_PASSWORD", "The rest-server's password, for `rmctl enrol create`."],
  ["XDG_CONFIG_HOME", "Below it lies `restic-manager/rmctl.json`, the login; on Windows below `APPDATA`."],
  ["HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "The proxy on the way to the server."],
  ["NODE_EXTRA_CA_CERTS", "A PEM file of authorities to trust beside the well-known ones."],
];

const exitIntro = `## Exit codes

The codes from 10 are the kinds of the API's errors. An error is a sentence on stderr with its code and the request's
id, under which the server's log has more; with \`--json\` it is one JSON document there.`;

export function cliPage(): string {
  return page(
    intro,
    table(
      ["option", "what it does"],
      Object.entries(everywhere).map(([name, option]) => [code(spelledOption(name, option)), option.about]),
    ),
    table(
      ["command", "what it does"],
      commands.map(({ name, summary }) => [`[${name}](#rmctl-${name.replace(" ", "-")})`, summary]),
    ),
    environmentIntro,
    table(
      ["variable", "what it is"],
      environment.map(([name, about]) => [code(name), about]),
    ),
    exitIntro,
    table(
      ["code", "what it means"],
      Object.values(exitCodes).map(({ code: number, about }) => [String(number), about]),
    ),
    ...commands.flatMap(describe),
  );
}

function describe(command: Command): string[] {
  const words = (command.words ?? []).map((word) => [code(word.name), word.about]);
  const options = Object.entries(command.options ?? {}).map(([name, option]) => [
    code(spelledOption(name, option)),
    option.many ? `${option.about} May be given more than once.` : option.about,
  ]);
  return [
    `## ${code(`rmctl ${command.name}`)}`,
    `${code(synopsis(command))}`,
    [command.summary, command.about].filter(Boolean).join(" "),
    words.length === 0 ? "" : table(["word", "what it is"], words),
    options.length === 0 ? "" : table(["option", "what it does"], options),
  ];
}
