/** agent.yaml: saved, read, and refused in words that give nothing away. */
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AgentConfig, keepsHooksAllowed, loadConfig, saveConfig } from "./config.ts";
import { AgentError } from "./platform/errors.ts";

const CONFIG: AgentConfig = {
  server: "https://backup.example.org",
  host_id: "01KAQ2TZY8X6W4V2T0S9R7Q5PN",
  bearer: "very-secret-bearer",
  cert_pin: `sha256:${"ab".repeat(32)}`,
  ca_file: null,
  secrets_key: Buffer.alloc(32, 3).toString("base64"),
  data_dir: "/var/lib/restic-manager",
  restic_path: null,
  allow_hooks: true,
  log_level: "info",
};

let dir: string;
let path: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "agent-config-"));
  path = join(dir, "sub", "agent.yaml");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test("a saved configuration is read back and is private", async () => {
  await saveConfig(path, CONFIG);
  expect(await loadConfig(path)).toEqual({ config: CONFIG, warnings: [] });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("hooks are allowed unless the file says otherwise, and an enrolment anew keeps what it says", async () => {
  expect(await keepsHooksAllowed(path)).toBe(true);
  const { allow_hooks: _left_out, ...older } = CONFIG;
  await saveConfig(path, CONFIG);
  await writeFile(path, JSON.stringify(older));
  expect((await loadConfig(path)).config.allow_hooks).toBe(true);
  await saveConfig(path, { ...CONFIG, allow_hooks: false });
  expect(await keepsHooksAllowed(path)).toBe(false);
});

test("one that others can read is used with a warning", async () => {
  await saveConfig(path, CONFIG);
  await chmod(path, 0o640);
  expect((await loadConfig(path)).warnings).toEqual([expect.stringContaining("chmod 600")]);
});

describe("is refused with a sentence", () => {
  test("that says how to get one, when there is none", async () => {
    await expect(loadConfig(path)).rejects.toMatchObject({
      code: "config.missing",
      message: expect.stringContaining("enrol"),
    });
  });

  test.each([
    ["a field is missing", { bearer: undefined }, "bearer"],
    ["a field is wrong", { server: "backup.example.org" }, "server"],
    ["the key has another length", { secrets_key: "AAAA" }, "secrets_key"],
    ["a setting is unknown", { restic_pth: "/usr/bin/restic" }, "restic_pth"],
  ])("that names the field, when %s", async (_name, change, field) => {
    await saveConfig(path, CONFIG);
    await writeFile(path, JSON.stringify({ ...CONFIG, ...change }));
    await expect(loadConfig(path)).rejects.toMatchObject({
      code: "config.invalid",
      message: expect.stringContaining(field),
    });
  });

  test("that never repeats a value, whatever is in the file", async () => {
    await saveConfig(path, CONFIG);
    const text = await readFile(path, "utf8");
    const broken = [text.replace("host_id", "\thost_id: ["), text.replace("https", "gopher"), `${text}\n- :`];
    for (const content of [...broken, "very-secret-bearer", "[very-secret-bearer]"]) {
      await writeFile(path, content);
      const error = await loadConfig(path).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(AgentError);
      expect(String(error)).not.toContain("very-secret-bearer");
    }
  });

  test("for any text", async () => {
    await saveConfig(path, CONFIG);
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        await writeFile(path, text);
        await expect(loadConfig(path)).rejects.toMatchObject({ code: "config.invalid" });
      }),
      { numRuns: 50 },
    );
  });

  test("when it can't be written", async () => {
    await writeFile(join(dir, "file"), "");
    await expect(saveConfig(join(dir, "file", "agent.yaml"), CONFIG)).rejects.toMatchObject({
      code: "config.not_saved",
    });
  });
});
