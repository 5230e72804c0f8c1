/**
 * Lines that a person pastes into a shell. Secrets go into a program's environment or its prompt, never into
 * its arguments, which every user of the machine can list: so the variables stand before sudo, not behind
 * it, and sudo is told their names: sudo-rs knows no -E.
 */

/** A word as a POSIX shell reads it back. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9._@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A word as PowerShell reads it back. It takes the typographic quotes for quotes, too. */
export const powershellWord = (text: string): string => `'${text.replace(/['\u2018-\u201b]/g, "$&$&")}'`;

const variables = (server: string, token: string): string =>
  `RM_SERVER=${shellWord(server)} RM_TOKEN=${shellWord(token)}`;

/** Installs the agent on a Linux host and enrols it; @param server the origin that the agent dials */
export const installCommand = (server: string, token: string): string =>
  `curl -fsSL ${shellWord(`${server}/install/install.sh`)} | ${variables(server, token)} sudo --preserve-env=RM_SERVER,RM_TOKEN sh`;

/** The same on Windows, in a PowerShell of an administrator. */
export const windowsInstallCommand = (server: string, token: string): string =>
  `$env:RM_SERVER = ${powershellWord(server)}; $env:RM_TOKEN = ${powershellWord(token)}; irm ${powershellWord(`${server}/install/install.ps1`)} | iex`;

/** Enrols a host on which the agent is installed already. */
export const enrolCommand = (server: string, token: string): string =>
  `${variables(server, token)} restic-manager-agent enrol`;

/** Announces the machine on which it is run; no secret is in it. */
export const announceCommand = (server: string): string =>
  `restic-manager-agent announce --server ${shellWord(server)} --run`;

/** Lets a user into a rest-server; asks for the password. */
export const htpasswdCommand = (user: string): string => `htpasswd -B .htpasswd ${shellWord(user)}`;
