/**
 * Takes the publisher's signature off a program of Windows (Authenticode, in the Portable Executable format): it is one
 * over Node's bytes, and with ours inside it would only be a broken one.
 * https://learn.microsoft.com/windows/win32/debug/pe-format
 */

/** Where the header says at which byte the PE header begins. */
const peOffsetAt = 0x3c;
/** From there: the signature "PE\0\0" and the COFF header. */
const optionalHeaderAt = 24;
/** In an optional header of 64 bits: the directories, and of them the fifth, the certificate table. */
const magicPe32Plus = 0x20b;
const certificatesAt = 112 + 4 * 8;

/** The same bytes for any file that is no such program, or has no signature at its end. */
export function withoutSignature(file: Buffer): Buffer {
  const directory = findCertificateDirectory(file);
  if (directory === undefined) return file;
  const [offset, size] = [file.readUInt32LE(directory), file.readUInt32LE(directory + 4)];
  if (size === 0 || offset + size !== file.length) return file;
  const rest = Buffer.from(file.subarray(0, offset));
  rest.fill(0, directory, directory + 8);
  return rest;
}

function findCertificateDirectory(file: Buffer): number | undefined {
  if (file.length < peOffsetAt + 4 || file.toString("latin1", 0, 2) !== "MZ") return undefined;
  const optionalHeader = file.readUInt32LE(peOffsetAt) + optionalHeaderAt;
  const directory = optionalHeader + certificatesAt;
  if (directory + 8 > file.length || file.readUInt16LE(optionalHeader) !== magicPe32Plus) return undefined;
  return directory;
}
