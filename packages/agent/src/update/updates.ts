/** What an update works with: where the programs lie, who is believed, and who starts this program again. */
import { createPublicKey, verify } from "node:crypto";
import type { ReleasePlatform, VerifySignature } from "@restic-manager/protocol";
import type { Download, DownloadEnd } from "../link/download.ts";
import type { UpdatePaths } from "./record.ts";
import type { Trial } from "./trial.ts";

export type Updates = {
  trial: Trial;
  /** The version that runs. */
  version: string;
  /** What releases call this machine; undefined for one that none is made for. */
  releasePlatform: ReleasePlatform | undefined;
  /** The key that releases are signed with (SPKI in PEM), baked in; undefined in what was not packaged. */
  releaseKey: string | undefined;
  /** Somebody starts this program again when it ends. */
  supervised: boolean;
  /** The agent's own files. */
  agent: UpdatePaths;
  /** The restic in the agent's folder, which may not be there yet. */
  restic: UpdatePaths;
  /** The restic that the configuration names; undefined when it leaves that to the agent. */
  chosenRestic: string | undefined;
  /** Where downloads wait; private. */
  downloadDir: string;
  download: (file: Download) => Promise<DownloadEnd>;
  /** Ends this program, to be started anew; jobs are let go of at once. */
  restart: () => void;
};

/** Ed25519 over the exact bytes. Throws when the key can't be read. */
export const verifySignature: VerifySignature = (publicKey, data, signature) =>
  verify(null, data, createPublicKey(publicKey), signature);
