/** Ports for programs that are told theirs: one that is free now, and that no other test program is given. */
import { randomInt } from "node:crypto";
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Below the ports that Linux gives to clients: one of those could be some client's own before a program listens there. */
const testPorts = [10_000, 32_000] as const;
/** By then whoever claimed it has long listened there, or never will. */
const staleAfterMs = 3_600_000;

/** A port of the loopback on which nobody listens now, claimed among all test programs of this machine. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(...testPorts);
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/** Between the look at a port and the start of its program another worker may choose it: so each leaves a file. */
async function claim(port: number): Promise<boolean> {
  const folder = join(tmpdir(), "rm-ports");
  const file = join(folder, String(port));
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(file, "", { flag: "wx" });
    return true;
  } catch (error) {
    // Where no file can be left, as in a folder of another user's, the look alone has to do.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") return true;
  }
  const madeAtMs = (await stat(file).catch(() => null))?.mtimeMs ?? Date.now();
  // For the next one that comes by this number.
  if (Date.now() - madeAtMs > staleAfterMs) await rm(file, { force: true }).catch(() => undefined);
  return false;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") done(false);
      else failed(error);
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => done(true)));
  });
}
