import { expect, it } from "vitest";
import { releasePublicKey } from "./release-key.ts";

it("an agent that was not packaged believes nobody about releases", () => {
  expect(releasePublicKey).toBeUndefined();
});
