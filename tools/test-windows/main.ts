/**
 * `make test-windows`: gets Wine, builds the agent for Windows and runs e2e/windows. Exit 1 when a test fails or a part
 * can't be had. Not part of `make test`: Wine is 130 MB that most changes do not need.
 */
import { spawnSync } from "node:child_process";
import { delimiter, join, resolve } from "node:path";
import { buildWindowsPrograms } from "./windows-programs.ts";
import { getWine, inOwnPids } from "./wine.ts";

const root = resolve(import.meta.dirname, "../..");
/** The tests take two minutes on a quiet machine. */
const timeoutMs = 900_000;

try {
  const wine = getWine(join(root, ".cache"), console.log);
  console.log(`Wine ${wine.version}`);
  const programs = await buildWindowsPrograms(root);
  const command = ["vitest", "run", "--project", "windows", ...process.argv.slice(2)];
  const tests = spawnSync("unshare", [...inOwnPids, ...command], {
    cwd: root,
    stdio: "inherit",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    env: {
      ...process.env,
      PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter),
      ...{ RM_WINE: wine.folder, RM_WINDOWS_AGENT: programs.agent },
      ...{ RM_WINDOWS_RMCTL: programs.rmctl, RM_WINDOWS_RESTIC: programs.restic },
    },
  });
  process.exitCode = tests.status ?? 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
