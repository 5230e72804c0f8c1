/**
 * What can be wrong on the way from a machine to its server: addresses, ports, certificates, and whoever answers in its
 * place. Each is said in words that tell what to do and leaves no agent; what is believed is what was given, and no more.
 */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { LabHost } from "../lab/host.ts";
import type { Machine } from "../lab/machine.ts";
import { BareStage, pathWithoutCurl, shells, systemPath } from "./bare-stage.ts";
import { installer } from "./release.ts";
import type { Stage } from "./stage.ts";

let bare: BareStage;
let stage: Stage;
let machine: Machine;

beforeAll(async () => {
  bare = await BareStage.set();
  ({ stage, machine } = bare);
});
afterAll(() => bare?.close());
afterEach(() => bare.reset());

describe.each(shells)("under $name", (shell) => {
  const refused = (env?: Readonly<Record<string, string>>, args?: string) => bare.refused(shell, env, args);

  test("no address, and addresses that are none", async () => {
    expect(await refused({ RM_SERVER: "" })).toContain("Failed: the server's address is missing.");
    expect(await refused({ RM_SERVER: "backup.example.org" })).toContain(
      "does not begin with https:// or http://",
    );
    expect(await refused({ RM_SERVER: "https://x.example/$(id)" })).toContain(
      "has a character that is not allowed",
    );
    expect(await refused({ RM_SERVER: "https://user:secret@x.example" })).toContain("is not allowed");
  });

  test("a server that is not there, by name or by port", async () => {
    expect(await refused({ RM_SERVER: "http://no-such-host.invalid" })).toContain("is not known:");
    await bare.fake("curl", "echo 'curl: (28) Resolving timed out after 20000 milliseconds' >&2; exit 28");
    expect(await refused({ RM_SERVER: "http://slow-dns.example" })).toContain("is not known:");
    await machine.shell("rm /tmp/fake/curl");
    expect(await refused({ RM_SERVER: "http://127.0.0.1:9" })).toMatch(
      /Failed: http:\/\/127\.0\.0\.1:9 can't be reached/,
    );
  });

  test("https to a port that speaks plain http, and the reverse", async () => {
    const plain = stage.front.url.replace("http:", "https:");
    expect(await refused({ RM_SERVER: plain })).toContain(`Failed: ${plain} does not speak TLS.`);
    const secure = bare.tls.url.replace("https:", "http:");
    expect(await refused({ RM_SERVER: secure })).toContain(
      "It probably speaks TLS there: try https:// instead of http://.",
    );
  });

  test("the words of Caddy and nginx about http on a port for https", async () => {
    bare.answer(400, "Client sent an HTTP request to an HTTPS server.\n");
    expect(await refused()).toContain("Write https:// instead of http://.");
    bare.answer(400, "<html><body>The plain HTTP request was sent to HTTPS port</body></html>");
    expect(await refused()).toContain("Write https:// instead of http://.");
  });

  test("a certificate that nobody here trusts, until it is given or pinned", async () => {
    expect(await refused({ RM_SERVER: bare.tls.url })).toContain(
      "Failed: this system does not trust the certificate of",
    );
    const pin = `sha256:${"0".repeat(64)}`;
    expect(await refused({ RM_SERVER: bare.tls.url, RM_CERT_PIN: pin })).toContain("is not the pinned one.");
    expect(await refused({ RM_SERVER: bare.tls.url, RM_CERT_PIN: "sha1:00" })).toContain(
      "must be sha256: and 64 small hex",
    );
    expect(await refused({ RM_SERVER: bare.tls.url, RM_CA_FILE: "/no/such" })).toContain(
      "the CA file /no/such can't be read",
    );
  });

  test("an IPv6 address without a port has that of https", async () => {
    const pin = `sha256:${"0".repeat(64)}`;
    expect(await refused({ RM_SERVER: "https://[::1]", RM_CERT_PIN: pin })).toContain(
      "no certificate could be got from [::1]:443.",
    );
  });

  test("a redirect, which the agent would not follow", async () => {
    bare.answer(308, "", { location: "https://other.example/install/SHA256SUMS" });
    expect(await refused()).toMatch(
      /sends us on to https:\/\/other\.example.*\n {2}The agent follows no redirect/,
    );
  });

  test("the page of a proxy, with 200, with 404 and with 405", async () => {
    bare.answer(200, "<!DOCTYPE html><html><title>Sign in to the hotel's network</title></html>");
    expect(await refused()).toContain("answered with a web page instead of a list of files.");
    for (const status of [404, 405]) {
      bare.answer(status, "<html>nope</html>");
      expect(await refused()).toContain(`the server answers HTTP ${status} to`);
    }
  });

  test("a server without a release, or without one for this machine", async () => {
    bare.answer(404, '{"code":"artefacts.not_found","message":"There is no release here."}');
    expect(await refused()).toContain(
      "the server has nothing at /install/SHA256SUMS: There is no release here.",
    );
    bare.answer(200, `${"0".repeat(64)}  restic-manager-agent-0.1.0-windows-x64.exe\n`);
    expect(await refused()).toContain("Failed: the server has no agent for Linux on");
  });
});

test.each(["curl", "wget"])(
  "another certificate than the pinned one, though the system and the settings of %s would take it",
  async (fetcher) => {
    const system = "/etc/ssl/certs";
    await machine.shell(`openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout /dev/null -out /tmp/other.pem 2>&1
cp -a ${system} /tmp/certs
cp /tmp/server.pem ${system}/$(openssl x509 -in /tmp/server.pem -noout -hash).0
cat /tmp/server.pem >>${system}/ca-certificates.crt
echo insecure >/tmp/fake/.curlrc
echo check_certificate=off >/tmp/fake/.wgetrc`);
    if (fetcher === "wget") await bare.withoutCurl();
    // Whoever sits in between shows the pinned one to who only looks.
    await bare.fake("openssl", '[ "$1" != s_client ] || exec cat /tmp/other.pem\nexec /usr/bin/openssl "$@"');
    const pinned = await machine.shell("openssl x509 -in /tmp/other.pem -noout -fingerprint -sha256");
    const pin = `sha256:${pinned.trim().replace(/.*=/, "").replaceAll(":", "").toLowerCase()}`;
    const { code, output } = await machine.run(["sh", "-c", `dash ${installer}`], {
      ...{ PATH: `/tmp/fake:${fetcher === "wget" ? pathWithoutCurl : systemPath}`, HOME: "/tmp/fake" },
      ...{ RM_SERVER: bare.tls.url, RM_CERT_PIN: pin },
    });
    await machine.shell(`rm -rf ${system} && mv /tmp/certs ${system}`);
    expect(output).toContain(`, ${fetcher}.`);
    expect(output).toContain("is not signed by what RM_CA_FILE or RM_CERT_PIN names:");
    expect(code).toBe(1);
  },
);

test.each(["a CA file", "a pin"])("a server with a certificate of its own, known by %s", async (known) => {
  const host = new LabHost(stage.lab, {
    name: `tls-${known.length}`,
    paths: ["/etc"],
    repository: "/srv/tls",
  });
  const fingerprint = new X509Certificate(await readFile(bare.certificate)).fingerprint256
    .replaceAll(":", "")
    .toLowerCase();
  const trust =
    known === "a pin" ? { RM_CERT_PIN: `sha256:${fingerprint}` } : { RM_CA_FILE: "/tmp/server.pem" };
  const settings = {
    PATH: systemPath,
    RM_SERVER: bare.tls.url,
    RM_TOKEN: await host.createToken(),
    ...trust,
  };
  const { code, output } = await machine.run(["sh", "-c", `dash ${installer}`], settings);
  expect(output).toContain("This machine is enrolled");
  expect(code).toBe(0);
  await machine.shell("/opt/restic-manager/bin/restic-manager-agent run >/dev/null 2>&1 &");
  expect(await machine.shell("/opt/restic-manager/bin/restic-manager-agent status --wait 60")).toContain(
    "Online:",
  );
  // Once more, with nothing: the address and the certificate are known.
  const again = await machine.run(["sh", "-c", `dash ${installer}`], { PATH: systemPath });
  expect(again.output).toContain(`This host stays enrolled at ${bare.tls.url}.`);
  expect(again.code).toBe(0);
});
