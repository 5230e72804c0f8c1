/**
 * The environment restic runs in, built from nothing. Invariants: every secret reaches restic here and only
 * here, and nothing of the agent's own environment goes along except what is listed below (RESTIC_HOST, say,
 * would silently filter snapshots, RESTIC_PASSWORD_FILE would silently win over RESTIC_PASSWORD).
 */
import { access, constants } from "node:fs/promises";
import { ensurePrivateDir } from "../platform/files.ts";

export type RepositoryAccess = {
  /** As restic takes it: a path, `rest:https://…`, `s3:…`, `sftp:…`. */
  url: string;
  password: string;
  /** Credentials of a rest server, raw. Preferred to `user:password@` in the URL, which needs encoding. */
  restUsername?: string;
  restPassword?: string;
  /** Variables of its backend: only what the protocol allows (`placeAccessFiles`). */
  environment?: Readonly<Record<string, string>>;
};

export type ResticEnvOptions = {
  repository: RepositoryAccess;
  /** Must exist and be writable: from 0.19 restic fails without (see `prepareCacheDir`). */
  cacheDir: string;
  /** The agent's environment, from which only the names below are taken. */
  inherited: Readonly<Record<string, string | undefined>>;
  platform: NodeJS.Platform;
};

const INHERITED = [
  ...["PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"],
  // Where the host's own rclone and ssh find what they sign in with.
  ...["RCLONE_CONFIG", "SSH_AUTH_SOCK"],
];

/** Without SystemRoot, Windows programs cannot open sockets; the others are its HOME and TMPDIR. */
const INHERITED_WINDOWS = [
  ...["SystemRoot", "SystemDrive", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA", "PATHEXT", "ComSpec"],
  // Where rclone and ssh have their settings.
  ...["APPDATA", "ProgramData"],
];

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The complete environment for restic on one repository.
 *
 * The password goes by RESTIC_PASSWORD, not by a password file: a file would have to outlive the agent (the
 * runner may start restic after the agent died), so no one could be sure to wipe it, and it would land on a
 * disk and in backups of that disk. An environment can be read by root and the same user only, who can read
 * the agent's memory anyway, and it is gone with the program.
 */
export function buildResticEnv(options: ResticEnvOptions): Record<string, string> {
  const { repository } = options;
  return {
    ...toolEnv(options.inherited, options.platform),
    ...repository.environment,
    RESTIC_REPOSITORY: repository.url,
    RESTIC_PASSWORD: repository.password,
    ...(repository.restUsername === undefined ? {} : { RESTIC_REST_USERNAME: repository.restUsername }),
    ...(repository.restPassword === undefined ? {} : { RESTIC_REST_PASSWORD: repository.restPassword }),
    RESTIC_CACHE_DIR: options.cacheDir,
    // One status line a second; the default is up to 60.
    RESTIC_PROGRESS_FPS: "1",
  };
}

/** The environment without a repository: for `restic version`. Also the ground of `buildResticEnv`. */
export function toolEnv(
  inherited: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
): Record<string, string> {
  const names = platform === "win32" ? [...INHERITED, ...INHERITED_WINDOWS] : INHERITED;
  const env: Record<string, string> = { PATH: DEFAULT_PATH, HOME: "/" };
  for (const name of names) {
    const value = inherited[name];
    if (value !== undefined && value !== "") env[name] = value;
  }
  // `key list` prints local time without a zone. A Go program dumps its memory only when told to: never.
  return { ...env, LANG: "C.UTF-8", TZ: "UTC", GOTRACEBACK: "single" };
}

/** Every secret of a repository, for the redactor: also a password inside its URL, raw and decoded. */
export function repositorySecrets(repository: RepositoryAccess): string[] {
  const inUrl = /\/\/[^\s/:@]*:([^\s/]*)@/.exec(repository.url)?.[1] ?? "";
  const secrets = [repository.password, repository.restPassword ?? "", inUrl, percentDecoded(inUrl)];
  return [...new Set(secrets.filter((secret) => secret !== ""))];
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export type CacheDirOutcome = { kind: "ok" } | { kind: "unusable"; code: string; message: string };

/** Creates the cache directory (0700) and checks that this user may write there. */
export async function prepareCacheDir(cacheDir: string): Promise<CacheDirOutcome> {
  try {
    await ensurePrivateDir(cacheDir);
    await access(cacheDir, constants.W_OK | constants.X_OK);
    return { kind: "ok" };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      kind: "unusable",
      code: "restic.cache_unusable",
      message: `restic's cache directory cannot be used (${reason}). Make it writable for the agent's user.`,
    };
  }
}
