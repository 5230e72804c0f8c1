/** What the table of commands is made of, and the words and options that more than one command takes. */
import type { Action } from "./call.ts";

export interface Word {
  name: string;
  /** A sentence. */
  about: string;
  optional?: true;
  /** Takes all that is left; only the last word may. */
  many?: true;
}

export interface Option {
  /** A sentence. */
  about: string;
  /** What the value is called; without one the option is a flag. */
  value?: string;
  many?: true;
  choices?: readonly string[];
}

export interface Command {
  /** One or two words; no command's name is the beginning of another's. */
  name: string;
  /** A sentence. */
  summary: string;
  /** More sentences, when there is more to say. */
  about?: string;
  words?: readonly Word[];
  options?: Readonly<Record<string, Option>>;
  load(): Promise<Action>;
}

export const hostWord: Word = { name: "HOST", about: "The host's name or id." };
export const followOption: Option = { about: "Follow the job to its end; the exit code tells how it ended." };
