/** The files of the apt repository that comes with a release. apt checks them by its own signature, so they are in no list. */
import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { AppError } from "../../platform/errors.ts";
import type { KnownFile } from "../../platform/http/send-file.ts";

/** What apt's own names are made of. No dot in front: neither hidden files nor a way up. */
const segment = /^[A-Za-z0-9][A-Za-z0-9._+~:-]{0,200}$/;

/** @param path with slashes, below `folder` @throws AppError `artefacts.not_found` */
export async function findAptFile(folder: string, path: string): Promise<KnownFile> {
  if (!path.split("/").every((part) => segment.test(part))) throw notFound();
  try {
    // A link may lead around inside of the folder, and not out of it.
    const [root, file] = await Promise.all([realpath(folder), realpath(join(folder, path))]);
    if (!file.startsWith(root + sep)) throw notFound();
    const found = await stat(file);
    if (!found.isFile()) throw notFound();
    const tag = `${found.size.toString(16)}-${Math.round(found.mtimeMs).toString(16)}`;
    return { path: file, sizeBytes: found.size, modifiedMs: found.mtimeMs, tag };
  } catch {
    throw notFound();
  }
}

const notFound = (): AppError =>
  new AppError("not_found", "artefacts.not_found", "The apt repository of this server has no such file.");
