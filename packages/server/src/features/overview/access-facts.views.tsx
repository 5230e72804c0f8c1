/** An access as it may be shown: where, who, which secrets are set, what is trusted. */
import type { JSX } from "preact";
import { None, Pair, Time } from "../../platform/html/values.tsx";
import {
  backendOf,
  type CertificateFacts,
  describeCertificates,
  type RedactedCredentials,
} from "../repositories/repositories.ts";

export const hasSettings = (access: RedactedCredentials | null): boolean =>
  access !== null &&
  (access.caCertificate !== null ||
    access.secretsSet.length + Object.keys(access.environment).length + Object.keys(access.options).length >
      0);

/** The pairs of a list of facts. */
export function AccessFacts({ access }: { access: RedactedCredentials }): JSX.Element {
  const { kind, caCertificate, options } = access;
  return (
    <>
      <Pair label="Kind">{kind === undefined ? <None label="unknown" /> : backendOf(kind).name}</Pair>
      <Pair label="URL" mono>
        {access.location}
      </Pair>
      {kind === "rest" ? <RestUser access={access} /> : null}
      <Variables access={access} />
      {caCertificate === null
        ? null
        : describeCertificates(caCertificate).map((facts) => (
            <Certificate key={facts.fingerprint} facts={facts} />
          ))}
      {Object.entries(options).map(([name, value]) => (
        <Pair key={name} label={name} mono>
          {value}
        </Pair>
      ))}
    </>
  );
}

function RestUser({ access }: { access: RedactedCredentials }): JSX.Element {
  return (
    <>
      <Pair label="User" mono>
        {access.restUsername ?? <None />}
      </Pair>
      <Pair label="User’s password">
        {access.restPasswordSet ? "set" : <span class="faint">not set</span>}
      </Pair>
    </>
  );
}

/** By what a person calls them. */
function Variables({ access }: { access: RedactedCredentials }): JSX.Element | null {
  if (access.kind === undefined) return null;
  return (
    <>
      {backendOf(access.kind).variables.map(({ name, label }) => {
        const value = access.environment[name];
        if (value !== undefined)
          return (
            <Pair key={name} label={label} mono>
              {value}
            </Pair>
          );
        return access.secretsSet.includes(name) ? (
          <Pair key={name} label={label}>
            set
          </Pair>
        ) : null;
      })}
    </>
  );
}

function Certificate({ facts }: { facts: CertificateFacts }): JSX.Element {
  return (
    <Pair label="Trusted authority">
      {facts.subject}, ends <Time at={facts.expiresAt} />
      <small class="mono break faint"> SHA-256 {facts.fingerprint}</small>
    </Pair>
  );
}
