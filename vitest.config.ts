/** Test projects: which files belong to which kind, and what each kind may take. */
import { defineConfig } from "vitest/config";

const resolve = { conditions: ["source"] };
/**
 * Files share their worker: nothing is kept in modules and nothing happens on import (ARCHITECTURE.md), so that each test
 * starts from what it makes itself. It saves two thirds of the time that unit tests take.
 */
const isolate = false;
/** A browser or a server beside other work: one second, as vitest has it, is no bound for `expect.poll`. */
const patience = { poll: { timeout: 20_000 } };
const ssr = { resolve: { conditions: ["source"], externalConditions: ["source"] } };

export default defineConfig({
  resolve,
  ssr,
  test: {
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: "unit",
          isolate,
          include: ["packages/**/*.test.{ts,tsx}", "tools/**/*.test.ts"],
          exclude: ["**/node_modules/**", "**/dist/**", "**/*.store.test.ts", "**/*.integration.test.ts"],
          // Some do thousands of cases: five seconds are not enough on a machine with other work.
          testTimeout: 30_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: "stores",
          isolate,
          globalSetup: ["packages/testkit/src/postgres-setup.ts"],
          include: ["packages/**/*.store.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: "integration",
          isolate,
          include: ["packages/**/*.integration.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          exclude: [
            "**/node_modules/**",
            "e2e/waiting/**",
            "e2e/versions/**",
            "e2e/windows/**",
            "e2e/release/**",
          ],
          testTimeout: 180_000,
          // Whole laboratories are made in them, several at once.
          hookTimeout: 300_000,
          expect: patience,
        },
      },
      {
        resolve,
        ssr,
        test: {
          // Under Wine, so only `make test-windows` runs it.
          name: "windows",
          include: ["e2e/windows/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          // Looks at what lies in build/package, so only `make package` runs it, when that is made.
          name: "release",
          include: ["e2e/release/*.test.ts"],
          testTimeout: 180_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          // With another restic than the others take, so only `make test-restic` runs it.
          name: "versions",
          include: ["e2e/versions/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          // What waits for the clock on the wall, and so runs beside the others.
          name: "waiting",
          include: ["e2e/waiting/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 300_000,
          expect: patience,
        },
      },
    ],
  },
});
