/**
 * Lines that a person pastes into a shell. Secrets go into a program's environment or its prompt, never into
 * its arguments, which every user of the machine can list.
 */

/** A word as a POSIX shell reads it back. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9._@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Enrols the machine on which it is run; @param server the origin that the agent dials */
export const installCommand = (server: string, token: string): string =>
  `RM_SERVER=${shellWord(server)} RM_TOKEN=${shellWord(token)} restic-manager-agent enrol`;

/** Announces the machine on which it is run; no secret is in it. */
export const announceCommand = (server: string): string =>
  `restic-manager-agent announce --server ${shellWord(server)} --run`;

/** Lets a user into a rest-server; asks for the password. */
export const htpasswdCommand = (user: string): string => `htpasswd -B .htpasswd ${shellWord(user)}`;
