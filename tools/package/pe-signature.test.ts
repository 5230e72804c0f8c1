import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withoutSignature } from "./pe-signature.ts";

/** The headers of a program of Windows, with a signature at its end. */
function signedProgram(): Buffer {
  const file = Buffer.alloc(512, 1);
  file.write("MZ", 0, "latin1");
  file.writeUInt32LE(64, 0x3c);
  file.writeUInt16LE(0x20b, 64 + 24);
  file.writeUInt32LE(400, 64 + 24 + 144);
  file.writeUInt32LE(112, 64 + 24 + 148);
  return file;
}

describe("the publisher's signature of a program of Windows", () => {
  it("is cut off at the end, and forgotten in the header", () => {
    const bare = withoutSignature(signedProgram());
    expect(bare.length).toBe(400);
    expect(bare.readBigUInt64LE(64 + 24 + 144)).toBe(0n);
    expect(withoutSignature(bare)).toEqual(bare);
  });

  it("that does not lie at the end is left alone: cutting there would take more", () => {
    const file = Buffer.concat([signedProgram(), Buffer.alloc(8)]);
    expect(withoutSignature(file)).toBe(file);
  });

  it("is looked for in programs of Windows only", () => {
    const file = signedProgram();
    file.write("\u007fELF", 0, "latin1");
    expect(withoutSignature(file)).toBe(file);
  });

  it("is taken off or not whatever the bytes are", () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((rest) => {
      const file = Buffer.concat([Buffer.from("MZ"), rest]);
      return file;
    });
    fc.assert(fc.property(bytes, (file) => withoutSignature(file).length <= file.length));
  });
});
