/** Removing what programs have worked in. */
import { rm } from "node:fs/promises";

/** With everything in it; nothing when it is not there. A program that was killed a moment ago may still be making its last file. */
export const removeFolder = (path: string): Promise<void> =>
  rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
