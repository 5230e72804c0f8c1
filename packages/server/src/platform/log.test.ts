import { describe, expect, it } from "vitest";
import { createLog } from "./log.ts";

describe("the log", () => {
  it.each(["password", "token", "bearer", "authorization", "cookie", "secret"])(
    "never holds a field called %s, down to three levels",
    (name) => {
      const lines: string[] = [];
      const log = createLog("info", { write: (line) => lines.push(line) });
      const secret = { [name]: "hunter2" };
      log.info({ ...secret, input: { ...secret, inner: secret } }, "said");
      expect(lines.join("")).not.toContain("hunter2");
      expect(JSON.parse(lines[0] ?? "")).toMatchObject({ msg: "said", [name]: "[redacted]" });
    },
  );
});
