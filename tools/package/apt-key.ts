/**
 * The OpenPGP key that signs the repository for apt, which knows no other kind: from the file that RM_APT_KEY_FILE names
 * (a secret key in ASCII armour, without a passphrase), or one of this checkout, made once. All by gpg, each time in a
 * folder of its own, so that nobody's own keyring is read or written.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFirst } from "./first-file.ts";

export interface AptKey {
  readonly file: string;
  /** True for a key that was made here because none was named. */
  readonly isOfCheckout: boolean;
  /** In ASCII armour. */
  readonly publicKey: string;
  /** The text with its signature around it, as InRelease is. The signature's time is the one given. */
  signInside(text: string, epochSeconds: number): string;
}

const owner = "restic-manager packages";
const timeoutMs = 60_000;

/** @throws Error with a sentence when gpg is missing or the file that is named holds no key */
export function openAptKey(root: string, environment: NodeJS.ProcessEnv): AptKey {
  const named = environment.RM_APT_KEY_FILE;
  const file = named ?? join(root, ".cache/package/apt.key");
  if (named === undefined && !existsSync(file)) makeKey(file);
  if (!existsSync(file)) throw new Error(`The key ${file} for the apt repository isn't there.`);
  return {
    file,
    isOfCheckout: named === undefined,
    publicKey: withKeyring((gpg) => {
      gpg(["--import", file]);
      return gpg(["--armor", "--export"]);
    }),
    signInside: (text, epochSeconds) =>
      withKeyring((gpg) => {
        gpg(["--import", file]);
        // Without "!" gpg makes the clock run on from there.
        return gpg(
          ["--faked-system-time", `${epochSeconds}!`, "--digest-algo", "SHA512", "--clearsign"],
          text,
        );
      }),
  };
}

/** Made as if long ago: a signature must not be older than its key. */
const madeAt = "20200101T000000";

function makeKey(file: string): void {
  const text = withKeyring((gpg) => {
    gpg([
      "--faked-system-time",
      `${madeAt}!`,
      "--passphrase",
      "",
      "--quick-generate-key",
      owner,
      "ed25519",
      "sign",
      "never",
    ]);
    return gpg(["--armor", "--export-secret-keys"]);
  });
  writeFirst(file, text);
}

type Gpg = (args: readonly string[], input?: string) => string;

/** The folder is short: gpg's agent listens on a socket in it, and those have short names. */
function withKeyring<T>(work: (gpg: Gpg) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "rm-gpg-"));
  const env = { ...process.env, GNUPGHOME: folder, LC_ALL: "C" };
  const options = { env, encoding: "utf8", timeout: timeoutMs, stdio: "pipe" } as const;
  try {
    return work((args, input = "") =>
      execFileSync("gpg", ["--batch", "--yes", "--no-tty", "--quiet", ...args], { ...options, input }),
    );
  } finally {
    execFileSync("gpgconf", ["--kill", "all"], { env, stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  }
}
