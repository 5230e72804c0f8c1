/**
 * The agent's log as a file, for where nobody reads its standard output: under Windows' service control manager. Bounded:
 * one file that is full becomes the old one, and the old one before it goes.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const MAX_BYTES = 10 * 1024 * 1024;

export type LogFile = { write: (line: string) => void; close: () => void };

/** Appends to `path`, which becomes `path.1` when it is full. What can't be written (disk full) is dropped. */
export function openLogFile(path: string, maxBytes = MAX_BYTES): LogFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let file = openSync(path, "a", 0o600);
  let sizeBytes = fstatSync(file).size;
  const turn = () => {
    closeSync(file);
    renameSync(path, `${path}.1`);
    file = openSync(path, "a", 0o600);
    sizeBytes = 0;
  };
  return {
    write: (line) => {
      try {
        if (sizeBytes >= maxBytes) turn();
        sizeBytes += writeSync(file, line);
      } catch {
        // A log that can't be written must not end the backups that it tells of.
      }
    },
    close: () => closeSync(file),
  };
}
