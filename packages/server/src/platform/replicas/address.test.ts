import { expect, it } from "vitest";
import { replicaUrlOf } from "./address.ts";

it.each([
  ["http://127.0.0.1:8080", ["10.0.0.2"], "http://127.0.0.1:8080"],
  ["http://10.0.0.7:8080", ["10.0.0.2"], "http://10.0.0.7:8080"],
  ["http://0.0.0.0:8080", ["10.0.0.2", "10.0.0.3"], "http://10.0.0.2:8080"],
  ["http://[::]:8080", ["fd00::2"], "http://[fd00::2]:8080"],
  ["http://[::]:8080", ["10.0.0.2"], "http://10.0.0.2:8080"],
  ["http://0.0.0.0:8080", [], "http://0.0.0.0:8080"],
])("a server on %s of a machine with %j is reached at %s", (listening, addresses, url) => {
  expect(replicaUrlOf(listening, addresses)).toBe(url);
});

it("asks the machine for its addresses", () => {
  expect(replicaUrlOf("http://0.0.0.0:8080")).toMatch(/^http:\/\/.+:8080$/);
});
