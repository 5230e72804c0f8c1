/** The program: argv, environment, signals and exit code, and nothing else. `--version` loads nothing more. */
import { productVersion } from "@restic-manager/protocol/version";

// Node would open its debugger on a port of this machine.
process.on("SIGUSR1", () => undefined);

/** What a shell says of a program that SIGPIPE or SIGINT ended. */
const brokenPipe = 141;
const interruptedCode = 130;

async function main(argv: string[]): Promise<number> {
  if (argv[0] === "--version" || argv[0] === "version") {
    process.stdout.write(`rmctl ${productVersion}\n`);
    return 0;
  }
  const [{ run }, { systemWorld }, { setGlobalProxyFromEnv }] = await Promise.all([
    import("./rmctl.ts"),
    import("./platform/terminal.ts"),
    import("node:http"),
  ]);
  // HTTPS_PROXY, HTTP_PROXY and NO_PROXY, for every request and WebSocket.
  setGlobalProxyFromEnv();
  const interrupted = new AbortController();
  process.on("SIGINT", () => {
    if (interrupted.signal.aborted) process.exit(interruptedCode);
    interrupted.abort();
  });
  // `rmctl … | head` ends as any program does whose reader went away.
  process.stdout.on("error", () => process.exit(brokenPipe));
  return run(argv, systemWorld(process.env, interrupted.signal));
}

// Not awaited here: an executable is one CommonJS module, which knows no await outside of functions.
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
  // An idle connection would keep the process for seconds; everything is written by now.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
});
