/**
 * `node tools/boundaries/main.ts [root]`: prints every broken rule of architecture.md as
 * `path:line rule message` and one summary line. Exit 1 when there is any.
 */
import { checkTree } from "./check.ts";

const root = process.argv[2] ?? `${import.meta.dirname}/../..`;
const { fileCount, violations } = checkTree(root);
for (const { path, line, rule, message } of violations) console.log(`${path}:${line} ${rule} ${message}`);
console.log(`boundaries: ${fileCount} files, ${violations.length} violations`);
process.exitCode = violations.length === 0 ? 0 : 1;
