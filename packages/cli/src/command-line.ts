/** From what was typed to a command of the table and its arguments; and the text of --help, from the same table. */
import { parseArgs } from "node:util";
import { Arguments } from "./call.ts";
import { type Command, commands, type Option, type Word } from "./commands.ts";
import { usageProblem } from "./problem.ts";

/** Taken by every command. */
export const everywhere: Readonly<Record<string, Option>> = {
  json: { about: "Print the API's own JSON: one document, or one for each line of what is followed." },
  help: { about: "Print this help." },
};

export type Parsed =
  | { kind: "run"; command: Command; args: Arguments; json: boolean }
  | { kind: "help"; text: string };

/**
 * @param argv without the program's own name
 * @throws Problem of usage with what is wrong
 */
export function parseCommandLine(argv: readonly string[]): Parsed {
  const [first = ""] = argv;
  if (argv.length === 0 || first === "help" || first === "--help" || first === "-h") {
    const wanted = argv.slice(1).join(" ");
    const command = commands.find(({ name }) => name === wanted);
    return { kind: "help", text: command ? commandHelp(command) : overview(wanted) };
  }
  const command = commands.find(({ name }) => isBegunBy(argv, name));
  if (!command) {
    const ofNoun = commands.some(({ name }) => name.startsWith(`${first} `));
    if (ofNoun && (argv.length === 1 || argv.includes("--help")))
      return { kind: "help", text: overview(first) };
    const typed = argv.slice(0, ofNoun ? 2 : 1).join(" ");
    throw usageProblem(`There is no command "${typed}". See: rmctl help${ofNoun ? ` ${first}` : ""}`);
  }
  return parseFor(command, argv.slice(command.name.split(" ").length));
}

const isBegunBy = (argv: readonly string[], name: string): boolean =>
  name.split(" ").every((word, index) => argv[index] === word);

function parseFor(command: Command, rest: readonly string[]): Parsed {
  const known = { ...command.options, ...everywhere };
  const { values, positionals } = parseOptions(known, rest, command);
  const options = new Map<string, (string | true)[]>();
  for (const [name, value] of Object.entries(values)) {
    const given = (Array.isArray(value) ? value : [value]).filter(
      (one) => one === true || typeof one === "string",
    );
    if (given.length > 0) options.set(name, given);
  }
  if (options.has("help")) return { kind: "help", text: commandHelp(command) };
  for (const [name, given] of options) checkValues(name, known[name], given, command);
  const args = new Arguments(wordsOf(command, positionals), options);
  return { kind: "run", command, args, json: options.has("json") };
}

function parseOptions(known: Readonly<Record<string, Option>>, rest: readonly string[], command: Command) {
  try {
    return parseArgs({
      args: [...rest],
      allowPositionals: true,
      options: Object.fromEntries(
        Object.entries(known).map(([name, option]) => {
          const type = option.value === undefined ? ("boolean" as const) : ("string" as const);
          return [name, { type, multiple: option.many === true, ...(name === "help" ? { short: "h" } : {}) }];
        }),
      ),
    });
  } catch (error) {
    const [sentence = ""] = (error instanceof Error ? error.message : String(error)).split(". ");
    throw usageProblem(`${sentence}. See: rmctl help ${command.name}`);
  }
}

function checkValues(
  name: string,
  option: Option | undefined,
  given: readonly (string | true)[],
  command: Command,
): void {
  if (option?.choices === undefined) return;
  const wrong = given.find((value) => value !== true && !option.choices?.includes(value));
  if (wrong === undefined) return;
  throw usageProblem(`--${name} is one of ${option.choices.join(", ")}. See: rmctl help ${command.name}`);
}

function wordsOf(command: Command, given: readonly string[]): Map<string, readonly string[]> {
  const words = new Map<string, readonly string[]>();
  let at = 0;
  for (const word of command.words ?? []) {
    const taken = word.many ? given.slice(at) : given.slice(at, at + 1);
    if (taken.length === 0 && !word.optional) {
      throw usageProblem(`${word.name} is missing: ${word.about} See: rmctl help ${command.name}`);
    }
    words.set(word.name, taken);
    at += taken.length;
  }
  // What was typed is not repeated: people paste a token where none belongs.
  if (at < given.length) throw usageProblem(`There is one word too many. See: rmctl help ${command.name}`);
  return words;
}

/** `rmctl jobs run HOST KIND [options]`. */
export function synopsis(command: Command): string {
  const words = (command.words ?? []).map(spelled);
  const options = Object.keys(command.options ?? {}).length > 0 ? ["[options]"] : [];
  return ["rmctl", command.name, ...words, ...options].join(" ");
}

function spelled(word: Word): string {
  const name = word.many ? `${word.name}...` : word.name;
  return word.optional ? `[${name}]` : name;
}

/** `--group NAME`. */
export const spelledOption = (name: string, option: Option): string =>
  option.value === undefined ? `--${name}` : `--${name} ${option.value}`;

function commandHelp(command: Command): string {
  const words = (command.words ?? []).map((word): [string, string] => [word.name, word.about]);
  const options = Object.entries({ ...command.options, ...everywhere }).map(
    ([name, option]): [string, string] => [
      spelledOption(name, option),
      option.many ? `${option.about} May be given more than once.` : option.about,
    ],
  );
  return [
    `Usage: ${synopsis(command)}\n\n${wrap(command.summary, 0)}`,
    command.about === undefined ? "" : wrap(command.about, 0),
    words.length === 0 ? "" : listed(words),
    `Options:\n${listed(options)}`,
  ]
    .filter((block) => block !== "")
    .join("\n");
}

/** Every command in a line, or those of one noun. */
function overview(noun: string): string {
  const ofNoun = commands.filter(({ name }) => name.split(" ")[0] === noun);
  const shown = ofNoun.length > 0 ? ofNoun : commands;
  const lines = shown.map((command): [string, string] => [command.name, command.summary]);
  return `Usage: rmctl COMMAND [options]

restic-manager on the command line. "rmctl help COMMAND" tells of one.

${listed(lines)}
Every command takes --json and --help. RM_SERVER and RM_API_TOKEN stand in for
a login. Options come after the command.
`;
}

const helpWidth = 80;

function listed(pairs: readonly (readonly [string, string])[]): string {
  const indent = Math.min(28, Math.max(...pairs.map(([term]) => term.length)) + 4);
  return pairs
    .map(([term, about]) => {
      const head = `  ${term}`.padEnd(indent);
      const text = wrap(about, indent).trimStart();
      return head.length > indent ? `${head}\n${" ".repeat(indent)}${text}` : `${head}${text}`;
    })
    .join("");
}

/** Words in lines of 80 columns, each indented. */
function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > helpWidth) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return `${lines.map((each) => " ".repeat(indent) + each).join("\n")}\n`;
}
