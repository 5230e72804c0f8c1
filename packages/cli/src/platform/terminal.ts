/** The process's own streams, clock and signals: the only file that touches them. */
import { once } from "node:events";
import { homedir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { Sink, World } from "./world.ts";

/** Longer than any token; a pipe that never ends is no token. */
const maxSecretChars = 4096;
const ctrlC = "\u0003";
const ctrlD = "\u0004";
const erasing = ["\u007f", "\b"];

/** The world of this process. @param interrupted aborts on Ctrl+C */
export function systemWorld(env: NodeJS.ProcessEnv, interrupted: AbortSignal): World {
  return {
    env,
    home: homedir(),
    platform: process.platform,
    out: sinkOf(process.stdout),
    err: sinkOf(process.stderr),
    readSecret,
    now: () => Date.now(),
    async sleep(ms, signal) {
      await delay(ms, undefined, { signal }).catch(() => undefined);
    },
    interrupted,
  };
}

function sinkOf(stream: NodeJS.WriteStream): Sink {
  return {
    async write(text) {
      if (!stream.write(text) && !stream.destroyed) await once(stream, "drain").catch(() => undefined);
    },
    get columns() {
      return stream.isTTY ? (stream.columns ?? 80) : null;
    },
  };
}

async function readSecret(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  if (stdin.isTTY) stderr.write(prompt);
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  let typed = "";
  try {
    for await (const chunk of stdin as AsyncIterable<string>) {
      for (const key of chunk) {
        if (key === ctrlC) process.kill(process.pid, "SIGINT");
        if (key === "\n" || key === "\r" || key === ctrlC || key === ctrlD) return typed;
        typed = erasing.includes(key) ? typed.slice(0, -1) : typed + key;
        if (typed.length > maxSecretChars) return typed;
      }
    }
    return typed;
  } finally {
    if (stdin.isTTY) {
      stdin.setRawMode(false);
      stderr.write("\n");
    }
  }
}
