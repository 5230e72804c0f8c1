/**
 * The table of commands: the single source for what is parsed, for --help and for docs/reference/cli.md. What a command does
 * is loaded when it is asked for, so that rmctl starts fast.
 */
import type { Command } from "./command.ts";
import {
  accountCommands,
  enrolmentCommands,
  pendingCommands,
  trailCommands,
  updateCommands,
} from "./fleet-commands.ts";
import { jobCommands, planCommands, repositoryCommands, snapshotCommands } from "./host-commands.ts";

/** In the order in which they are told. */
export const commands: readonly Command[] = [
  ...accountCommands,
  ...enrolmentCommands,
  ...pendingCommands,
  ...jobCommands,
  ...snapshotCommands,
  ...repositoryCommands,
  ...planCommands,
  ...updateCommands,
  ...trailCommands,
];
