/**
 * Wine for the tests of the Windows agent: taken from packages of a newer suite (Debian 12's own, 8.0, can't run Node 24:
 * V8 finds no address space), unpacked into a folder of its own and run there by chroot. Invariants: nothing is installed;
 * apt checks the signatures; the network and the temporary folder are those of this machine, everything else is Wine's.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { inSuites, type Suite } from "../get-restic/apt-package.ts";

/** Debian 13. Its Wine, 10.0, is the one that the tests ran with. */
const suite = "trixie";

/** What a program without windows and sound needs of Wine, of the C library (with its locales) on. Wine's random numbers come by GnuTLS. */
const packages = [
  ...["libwine", "wine64", "libz-mingw-w64"],
  ...["libc6", "libc-bin", "libgcc-s1", "libunwind8", "liblzma5"],
  ...["libgnutls30t64", "libp11-kit0", "libidn2-0", "libunistring5", "libtasn1-6", "libnettle8t64"],
  ...["libhogweed6t64", "libgmp10", "libffi8", "zlib1g", "libzstd1", "libbrotli1"],
];

/** Making a new Windows takes Wine some ten seconds on a quiet machine. */
const bootTimeoutMs = 120_000;

/** For `unshare`: process ids of its own, so that nothing that Wine starts outlives the command, whatever it starts. */
export const inOwnPids = ["--pid", "--fork", "--kill-child=KILL", "--mount-proc"] as const;

export interface Wine {
  /** Where it lies: `launcher NAME wine64 PROGRAM ARGS…` runs a program in `windows/NAME`. */
  readonly folder: string;
  readonly version: string;
}

/** The Windows that the others are copies of. */
const template = "new";

/** Wine in the cache, fetched and tried when it is not there. @throws Error with one sentence */
export function getWine(cacheFolder: string, say: (line: string) => void): Wine {
  const folder = join(cacheFolder, "wine");
  if (!existsSync(join(folder, "version"))) {
    if (process.getuid?.() !== 0)
      throw new Error("the tests under Wine work by chroot, which only root may do");
    say("fetching Wine from a newer suite of Debian (some 130 MB)");
    inSuites({ tool: "Wine", isExact: false, suites: [suite] }, cacheFolder, say, (opened) => {
      rmSync(folder, { recursive: true, force: true });
      unpackWine(opened, folder);
    });
  }
  const version = readFileSync(join(folder, "version"), "utf8").trim();
  return { folder, version };
}

function unpackWine(suite: Suite, target: string): void {
  suite.run("apt-get", ["-q", "download", ...packages]);
  for (const name of readdirSync(suite.folder).filter((file) => file.endsWith(".deb")))
    suite.run("dpkg-deb", ["-x", name, "root"]);
  const root = join(suite.folder, "root");
  for (const name of ["bin", "lib", "lib64"])
    if (!existsSync(join(root, name))) symlinkSync(join("usr", name), join(root, name));
  for (const name of ["proc", "sys", "dev", "tmp", "windows"])
    mkdirSync(join(root, name), { recursive: true });
  rmSync(join(root, "usr/lib/x86_64-linux-gnu/wine/i386-windows"), { recursive: true, force: true });
  placeZlib(root);
  writeFileSync(join(suite.folder, "launcher"), launcherText(target));
  chmodSync(join(suite.folder, "launcher"), 0o755);
  mkdirSync(target);
  for (const name of ["root", "launcher"]) renameSync(join(suite.folder, name), join(target, name));
  bootWindows(target);
  const [version = ""] = readdirSync(suite.folder).filter((name) => name.startsWith("wine64_"));
  writeFileSync(join(target, "version"), `${decodeURIComponent(version.split("_")[1] ?? "")}\n`);
}

/** Wine takes a DLL for its own by this mark behind the header; the package's own script does the same. */
function placeZlib(root: string): void {
  const content = readFileSync(join(root, "usr/x86_64-w64-mingw32/lib/zlib1.dll"));
  content.fill(0, 64, 96).write("Wine builtin DLL", 64, "latin1");
  writeFileSync(join(root, "usr/lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll"), content);
}

/** In a mount namespace of its own, so that nothing stays mounted. The environment is that of the caller. */
function launcherText(folder: string): string {
  const root = join(folder, "root");
  return `#!/bin/sh
# launcher NAME wine64|wineserver64 ARGS...: runs a Windows program in one of the Windows that lie here, or rules it.
export WINEPREFIX="/windows/$1" LC_ALL=C.UTF-8 WINEARCH=win64 WINEDEBUG="\${WINEDEBUG--all}" WINESERVER=/usr/lib/wine/wineserver64
shift
mounts="mount --bind ${join(folder, "windows")} ${root}/windows"
for name in proc sys dev tmp; do mounts="$mounts && mount --rbind /$name ${root}/$name"; done
exec unshare --mount --propagation private sh -c "$mounts && exec chroot ${root} /usr/lib/wine/\\"\\$@\\"" sh "$@"
`;
}

function bootWindows(target: string): void {
  mkdirSync(join(target, "windows", template), { recursive: true });
  // The second writes the registry down and ends what is left.
  const script = '"$0" "$1" wine64 wineboot -i; "$0" "$1" wineserver64 -k';
  const command = ["sh", "-c", script, join(target, "launcher"), template];
  const done = spawnSync("unshare", [...inOwnPids, ...command], {
    env: { PATH: process.env.PATH, HOME: "/tmp" },
    stdio: "ignore",
    timeout: bootTimeoutMs,
    killSignal: "SIGKILL",
  });
  if (!existsSync(join(target, "windows", template, "system.reg")))
    throw new Error(`Wine does not start (exit ${done.status ?? done.signal})`);
}

/** Another Windows under that name: what never changes is linked, the registry is copied. @returns its drive C */
export function makeWindows(folder: string, name: string): string {
  const [from, to] = [join(folder, "windows", template), join(folder, "windows", name)];
  spawnSync("cp", ["-al", from, to]);
  for (const file of readdirSync(from).filter((entry) => entry.endsWith(".reg") || entry.startsWith("."))) {
    rmSync(join(to, file));
    copyFileSync(join(from, file), join(to, file));
  }
  return join(to, "drive_c");
}
