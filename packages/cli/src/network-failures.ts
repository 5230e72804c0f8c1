/** What went wrong below HTTP, in a sentence that says what to look at. */
import { Problem } from "./problem.ts";
import { visible } from "./text.ts";

const untrusted: readonly string[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];

/** Whatever `fetch` or a WebSocket threw, as a Problem. */
export function explainFailure(error: unknown, url: string): Problem {
  const code = codeOf(error);
  const name = error instanceof Error ? error.name : "";
  if (name === "AbortError") return new Problem("interrupted", "cli.interrupted", "Interrupted.");
  if (name === "TimeoutError")
    return new Problem("timeout", "cli.timeout", `${url} did not answer in time. Try again.`);
  const at = (sentence: string) => new Problem("unavailable", "cli.unreachable", sentence);
  if (untrusted.includes(code)) {
    const message = `The certificate of ${url} is signed by nobody that this machine trusts. Put the authority's certificate into a file and set NODE_EXTRA_CA_CERTS to its path.`;
    return new Problem("unavailable", "cli.certificate", message);
  }
  if (/CERT|ERR_TLS/.test(code)) {
    const message = `The certificate of ${url} is not valid for it (${code}). Check the address and the certificate.`;
    return new Problem("unavailable", "cli.certificate", message);
  }
  if (code === "ECONNREFUSED")
    return at(`Nothing listens at ${url}. Is the server running, and is this its address?`);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return at(`The name in ${url} is not known. Check it, and DNS.`);
  if (code === "EPROTO" || code.startsWith("ERR_SSL"))
    return at(`${url} speaks no TLS. Is its address http://…?`);
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET")
    return at(`${url} cut the connection. Is it https://…, and does a proxy stand between?`);
  return at(`${url} can't be reached${code === "" ? "" : ` (${visible(code)})`}.`);
}

/** The system's code, of the error or of what caused it. */
function codeOf(error: unknown): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === "string") return code;
    if (at instanceof AggregateError && at.errors.length > 0) return codeOf(at.errors[0]);
  }
  return "";
}
