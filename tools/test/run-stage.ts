/**
 * Runs one stage: its commands, then its vitest project, and prints one line about it.
 *
 * Invariant: output of a command is shown only when it failed, then whole and before the stage's line.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type Count, countReport, sumCounts } from "./report.ts";
import type { Stage } from "./stages.ts";

/** How a command ended, with everything that it printed. */
interface Ended {
  readonly exitCode: number;
  readonly output: string;
}

/** The longest stage takes ten minutes, on a busy machine twice that: what takes longer hangs. */
const commandTimeoutMs = 1_800_000;

/** Where commands run, what they see, and where lines go. */
export interface StagePlace {
  readonly root: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (line: string) => void;
}

/** Runs a stage to its end, prints its line and returns its count. Never throws for a failing command. */
export async function runStage(stage: Stage, place: StagePlace): Promise<Count> {
  const startedAt = performance.now();
  const counts: Count[] = [];
  for (const command of stage.commands) counts.push(await runCheck(command, place));
  if (stage.project !== undefined) counts.push(await runTests(stage.project, stage, place));
  const count = sumCounts(counts);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  for (const reason of count.reasons) place.say(`${stage.name}: ${reason}`);
  const result = count.failed === 0 ? "ok" : "FAILED";
  const figures = `${count.passed} passed, ${count.failed} failed`;
  place.say(`${stage.name.padEnd(12)} ${result.padEnd(7)} ${seconds.padStart(6)} s   ${figures}`);
  return count;
}

async function runCheck(command: readonly string[], place: StagePlace): Promise<Count> {
  const { exitCode, output } = await run(command, place);
  if (exitCode === 0) return { passed: 1, failed: 0, reasons: [] };
  place.say(output.trimEnd());
  return { passed: 0, failed: 1, reasons: [`${command.join(" ")} ended with ${exitCode}`] };
}

async function runTests(project: string, { workers, paths = [] }: Stage, place: StagePlace): Promise<Count> {
  const folder = mkdtempSync(join(tmpdir(), "rm-test-"));
  try {
    const file = join(folder, "report.json");
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const atOnce = workers === undefined ? [] : [`--maxWorkers=${workers}`];
    const command = ["vitest", "run", "--project", project, ...paths, ...atOnce, ...reporters];
    const { exitCode, output } = await run(command, place);
    const count = countReport(readIfThere(file), exitCode);
    if (count.failed > 0) place.say(output.trimEnd());
    return count;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(command: readonly string[], place: StagePlace): Promise<Ended> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: place.root,
      env: place.environment,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: commandTimeoutMs,
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", (error) => resolve({ exitCode: 127, output: `${program}: ${error.message}` }));
    child.on("close", (code, signal) => {
      const killed = signal === null ? "" : `\n${program} was ended by ${signal}`;
      resolve({ exitCode: code ?? 1, output: Buffer.concat(chunks).toString("utf8") + killed });
    });
  });
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // vitest ended before its report; the count says so.
    return "";
  }
}
