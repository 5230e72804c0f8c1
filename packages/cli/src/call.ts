/** One command being run: its arguments, the server, and where its answer goes. */
import type { Client } from "./client.ts";
import type { World } from "./platform/world.ts";
import { Problem } from "./problem.ts";
import { jsonLine } from "./text.ts";

/** What stood on the command line, by the names of the table of commands. */
export class Arguments {
  private readonly words: ReadonlyMap<string, readonly string[]>;
  private readonly options: ReadonlyMap<string, readonly (string | true)[]>;

  constructor(
    words: ReadonlyMap<string, readonly string[]>,
    options: ReadonlyMap<string, readonly (string | true)[]>,
  ) {
    this.words = words;
    this.options = options;
  }

  /** A word that the table calls required. */
  word(name: string): string {
    const [first] = this.words.get(name) ?? [];
    if (first === undefined)
      throw new Problem("internal", "cli.mistake", `The table of commands has no word ${name}.`);
    return first;
  }

  /** All words of a name, perhaps none. */
  manyWords(name: string): readonly string[] {
    return this.words.get(name) ?? [];
  }

  is(option: string): boolean {
    return this.options.has(option);
  }

  /** The value of an option; of several the last. */
  text(option: string): string | undefined {
    const last = this.options.get(option)?.at(-1);
    return typeof last === "string" ? last : undefined;
  }

  /** Every value of an option that may be given more than once. */
  texts(option: string): string[] {
    return (this.options.get(option) ?? []).filter((value) => typeof value === "string");
  }
}

export interface Call {
  args: Arguments;
  json: boolean;
  world: World;
  /** @throws Problem `cli.not_logged_in` */
  client(): Promise<Client>;
}

/** What a command does. @returns its exit code when it is not 0 */
export type Action = (call: Call) => Promise<number | undefined>;

/** Prints the API's own document, or its text for eyes. */
export function show(call: Call, raw: unknown, text: (columns: number | null) => string): Promise<void> {
  const { out } = call.world;
  return out.write(call.json ? jsonLine(raw) : text(out.columns));
}

/** Prints a sentence about something that was done; with `--json` the document in its place. */
export const tell = (call: Call, raw: unknown, sentence: string): Promise<void> =>
  show(call, raw, () => `${sentence}\n`);
