/**
 * The public key whose signature this agent believes about releases (SPKI in PEM). Packaging puts it in the place of the
 * name below; it never comes from the server. A build from source has none, and so takes no update.
 */
declare const RELEASE_PUBLIC_KEY: string | undefined;

export const releasePublicKey: string | undefined =
  typeof RELEASE_PUBLIC_KEY === "undefined" ? undefined : RELEASE_PUBLIC_KEY;
