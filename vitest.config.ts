/** Test projects: which files belong to which kind, and what each kind may take. */
import { defineConfig } from "vitest/config";

const resolve = { conditions: ["source"] };
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
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
