/** Certificates that a storage is to be trusted by: what was pasted, checked and cut down to PEM, and what they say. Pure. */
import { X509Certificate } from "node:crypto";
import { caCertificate } from "@restic-manager/protocol";

/** A certificate as it may be shown; times in epoch milliseconds. */
export interface CertificateFacts {
  subject: string;
  issuer: string;
  expiresAt: number;
  /** SHA-256, as openssl prints it. */
  fingerprint: string;
}

const block = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----/g;

/** The certificates in a text, without what stands between them; or the sentence that says what is wrong with it. */
export function readCertificates(text: string): { pem: string } | { problem: string } {
  const blocks = [...text.matchAll(block)];
  if (blocks.some(([, label]) => label !== "CERTIFICATE"))
    return {
      problem:
        "Only certificates, please: a private key has no business here. Look for BEGIN CERTIFICATE in the file.",
    };
  const certificates = blocks.map(([found]) => found);
  if (certificates.length === 0)
    return { problem: "This has to be a certificate in PEM: it begins with -----BEGIN CERTIFICATE-----." };
  const pem = `${certificates.join("\n")}\n`;
  if (!certificates.every(isCertificate) || !caCertificate.safeParse(pem).success)
    return { problem: "One of these is no valid certificate. Copy the file once more, whole." };
  return { pem };
}

/** Of a text that `readCertificates` gave, in its order. */
export function describeCertificates(pem: string): CertificateFacts[] {
  return [...pem.matchAll(block)].map(([found]) => {
    const { subject, issuer, validTo, fingerprint256 } = new X509Certificate(found);
    return {
      subject: oneLine(subject),
      issuer: oneLine(issuer),
      expiresAt: Date.parse(validTo),
      fingerprint: fingerprint256,
    };
  });
}

/** One name a line in Node's spelling. */
const oneLine = (names: string): string => names.replaceAll("\n", ", ");

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).validTo !== "";
  } catch {
    return false;
  }
}
