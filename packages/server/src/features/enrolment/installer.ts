/**
 * The installer as a file of one host: the script of the release with the server's address and the token in front of it.
 * We keep no token in clear, so whoever was shown one gives it back for this; it can be had once, as the token itself.
 */
import { type Clock, toInstant } from "../../platform/clock.ts";
import { type Db, inTransaction } from "../../platform/db/db.ts";
import { AppError } from "../../platform/errors.ts";
import type { Actor } from "../../platform/http/identity.ts";
import { hashToken } from "../../platform/random.ts";
import { recordAudit } from "../audit/audit.ts";
import { claimInstaller, type EnrolmentToken, selectTokenByHash } from "./enrolment.store.ts";
import { checkUsable, notFound } from "./enrolment.ts";
import { powershellWord, shellWord } from "./install-command.ts";

/** `sh` for Linux, `ps1` for Windows. */
export const installerKinds = ["sh", "ps1"] as const;
export type InstallerKind = (typeof installerKinds)[number];

/** What the release has of them; null for one that it does not have. */
export type ReadInstaller = (kind: InstallerKind) => Promise<string | null>;

export interface InstallerInput {
  kind: InstallerKind;
  tokenId: string;
  token: string;
  /** The origin that the agent dials. */
  server: string;
  actor: Actor;
}

export interface Installer {
  fileName: string;
  text: string;
}

/**
 * The one download of a token.
 * @throws AppError `enrolment.installer_taken`, `enrolment.not_found` also for the token of another id,
 *   `enrolment.token_used`, `enrolment.token_expired`, or `enrolment.no_installer` when the release has none
 */
export async function takeInstaller(
  deps: { db: Db; clock: Clock; readInstaller: ReadInstaller },
  input: InstallerInput,
): Promise<Installer> {
  const { kind, tokenId, server, actor } = input;
  const script = await deps.readInstaller(kind);
  if (script === null) throw noInstaller();
  const at = deps.clock.now();
  return inTransaction(deps.db, async (tx) => {
    const found = await selectTokenByHash(tx, hashToken(input.token));
    if (found?.id !== tokenId) throw notFound();
    const { token } = checkUsable(found, at);
    if (!(await claimInstaller(tx, tokenId, at))) throw taken();
    const target = { kind: "enrolment_token", id: tokenId, name: token.hostName };
    const fileName = `install-${token.hostName}.${kind}`;
    await recordAudit(tx, {
      ...{ at, actor, action: "enrolment.installer_download", target },
      payload: { file: fileName },
    });
    return { fileName, text: write[kind](script, { server, secret: input.token, token }) };
  });
}

interface Parts {
  server: string;
  secret: string;
  token: EnrolmentToken;
}

const about = ({ token }: Parts): string[] => [
  `# Installs the agent of restic-manager on ${token.hostName}. Good once, until ${toInstant(token.expiresAt)}.`,
  "# It holds a secret: keep it from others (chmod 600), and delete it afterwards.",
];

const write: Record<InstallerKind, (script: string, parts: Parts) => string> = {
  sh: (script, parts) =>
    [
      "#!/bin/sh",
      ...about(parts),
      `RM_SERVER=${shellWord(parts.server)}`,
      `RM_TOKEN=${shellWord(parts.secret)}`,
      script,
    ].join("\n"),
  // A script block, because the parameters of a script have to come first in what they belong to.
  ps1: (script, parts) =>
    [
      ...about(parts),
      `$env:RM_SERVER = ${powershellWord(parts.server)}`,
      `$env:RM_TOKEN = ${powershellWord(parts.secret)}`,
      "& {",
      script,
      "} @args",
      "",
    ].join("\n"),
};

const taken = (): AppError =>
  new AppError(
    "conflict",
    "enrolment.installer_taken",
    "The installer of this token was already downloaded, which is possible once. Use that file or the command, or make a new token.",
  );

const noInstaller = (): AppError =>
  new AppError(
    "not_found",
    "enrolment.no_installer",
    "This server has no installer for that system. An administrator sees under Settings → Agents what it has.",
  );
