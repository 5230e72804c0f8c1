/** The sample of a restore drill: random, repeatable, and within its bounds. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ListedNode, parseListedNode } from "../restic/tree-output.ts";
import { DrillSample } from "./drill-sample.ts";

function fileOf(path: string, size = 10, type = "file"): ListedNode {
  const listed = parseListedNode(JSON.stringify({ struct_type: "node", name: "x", path, size, type }));
  if (listed === undefined) throw new Error(`${path} is no entry`);
  return listed;
}
const files = Array.from({ length: 1000 }, (_, n) => fileOf(`/srv/${n}`));
const bounds = { seed: 7, maxFiles: 20, maxBytes: 1_000_000 };

function drawFrom(nodes: readonly ListedNode[], more: Partial<typeof bounds> = {}) {
  const sample = new DrillSample({ ...bounds, ...more });
  for (const node of nodes) sample.offer(node);
  return { paths: sample.draw().map(({ path }) => path), leftOut: sample.leftOut };
}

describe("a sample", () => {
  test("is as large as it may be, of files that are there, each once", () => {
    const { paths } = drawFrom(files);
    expect(new Set(paths).size).toBe(20);
    expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(paths));
  });

  test("is the same for the same seed, in whatever order the files pass, and another for another", () => {
    expect(drawFrom(files.toReversed()).paths).toEqual(drawFrom(files).paths);
    expect(drawFrom(files, { seed: 8 }).paths).not.toEqual(drawFrom(files).paths);
  });

  test("reaches every file: no place in the listing is favoured", () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 400; seed += 1)
      for (const path of drawFrom(files, { seed }).paths) seen.add(path);
    expect(seen.size).toBeGreaterThan(990);
  });

  test("stays within its bytes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(1000), { minLength: 1 }),
        fc.integer({ min: 1, max: 1000 }),
        (sizes, maxBytes) => {
          const nodes = sizes.map((size, n) => fileOf(`/${n}`, size));
          const sample = new DrillSample({ seed: 1, maxFiles: 50, maxBytes });
          for (const node of nodes) sample.offer(node);
          const drawn = sample.draw();
          expect(drawn.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThanOrEqual(maxBytes);
          expect(drawn.length > 0).toBe(sizes.some((size) => size <= maxBytes));
        },
      ),
    );
  });

  test("has files only, and says how many can't be drawn", () => {
    const nodes = [
      fileOf("/d", 0, "dir"),
      fileOf("/l", 0, "symlink"),
      fileOf("/huge", 2_000_000),
      fileOf("/a\nb"),
    ];
    expect(drawFrom(nodes)).toEqual({ paths: [], leftOut: 2 });
  });
});
