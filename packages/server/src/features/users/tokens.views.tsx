/** The panel of API tokens on the account page. A new token is on the page that answers its form, and nowhere else. */
import type { JSX } from "preact";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { CopyBlock, Empty, Notice, Panel } from "../../platform/html/parts.tsx";
import { usePage } from "../../platform/html/scope.ts";
import { None, Time } from "../../platform/html/values.tsx";
import { allows, type Role, roles } from "../../platform/http/identity.ts";

/** What the list shows of a token; instants in epoch milliseconds. */
export interface TokenRow {
  id: string;
  name: string;
  role: Role;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
}

/** The choices of the form, in days; empty never ends. */
export const tokenLifetimes = ["7", "30", "90", "365", ""] as const;
const proposedLifetime = "90";

/** The panel. */
export interface TokensProps {
  tokens: readonly TokenRow[];
  /** Shown once: the answer to the form that made it. */
  created?: { name: string; token: string } | undefined;
  form?: FormState<"name" | "role" | "days"> | undefined;
}

/** Posts `name`, `role`, `days` to /settings/account/tokens; revokes by /settings/account/tokens/{id}/revoke. */
export function ApiTokens(props: TokensProps): JSX.Element {
  return (
    <Panel title="API tokens" id="api-tokens" note="for rmctl and scripts">
      {props.created === undefined ? null : <Created {...props.created} />}
      {props.tokens.length === 0 ? (
        <Empty title="No tokens yet">
          A token lets a program use the API as you, without your password: as{" "}
          <code>Authorization: Bearer rmt_…</code>, or with <code>rmctl login</code>.
        </Empty>
      ) : (
        <TokenTable tokens={props.tokens} />
      )}
      <NewToken {...props} />
    </Panel>
  );
}

function Created({ name, token }: { name: string; token: string }): JSX.Element {
  return (
    <div class="panel-body stack">
      <Notice tone="ok" title={`The token “${name}” is made.`} live>
        <p>Copy it now: it is not shown again.</p>
      </Notice>
      <CopyBlock id="new-api-token" text={token} label="API token" />
    </div>
  );
}

function TokenTable({ tokens }: { tokens: readonly TokenRow[] }): JSX.Element {
  return (
    <table class="rows">
      <caption class="sr-only">Your API tokens</caption>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Role</th>
          <th scope="col" class="wide-only">
            Last used
          </th>
          <th scope="col">Ends</th>
          <th scope="col" class="col-restore">
            <span class="sr-only">Revoke</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {tokens.map((token) => (
          <Token key={token.id} token={token} />
        ))}
      </tbody>
    </table>
  );
}

function Token({ token }: { token: TokenRow }): JSX.Element {
  const { now } = usePage();
  return (
    <tr>
      <td class="mono clip" title={token.name}>
        {token.name}
      </td>
      <td class="muted">{token.role}</td>
      <td class="muted wide-only">
        {token.lastUsedAt === null ? <None label="never used" /> : <Time at={token.lastUsedAt} />}
      </td>
      <td class="muted">
        {token.expiresAt === null ? "never" : null}
        {token.expiresAt !== null && token.expiresAt > now ? <Time at={token.expiresAt} /> : null}
        {token.expiresAt !== null && token.expiresAt <= now ? "has ended" : null}
      </td>
      <td class="col-restore">
        <PostForm action={`/settings/account/tokens/${token.id}/revoke`}>
          <button type="submit" class="btn small" aria-label={`Revoke ${token.name}`}>
            Revoke
          </button>
        </PostForm>
      </td>
    </tr>
  );
}

function NewToken({ form }: TokensProps): JSX.Element {
  const { user } = usePage();
  const { values = {}, errors = {}, message } = form ?? {};
  const own = user?.role ?? "viewer";
  return (
    <div class="panel-body">
      <FormMessage message={message ?? errors.role ?? errors.days} />
      <PostForm action="/settings/account/tokens" class="stack narrow" label="New API token">
        <Field
          name="name"
          label="Name"
          value={values.name}
          error={errors.name}
          autofocus={errors.name !== undefined}
          placeholder="nightly-report"
          hint="Which program it is for; the audit trail names it."
        />
        <div class="field">
          <label for="field-role">Role</label>
          <select class="input" id="field-role" name="role">
            {roles
              .filter((role) => allows(role, own))
              .map((role) => (
                <option key={role} value={role} selected={role === (values.role ?? own)}>
                  {role}
                </option>
              ))}
          </select>
        </div>
        <div class="field">
          <label for="field-days">Ends</label>
          <select class="input" id="field-days" name="days">
            {tokenLifetimes.map((days) => (
              <option key={days} value={days} selected={days === (values.days ?? proposedLifetime)}>
                {days === "" ? "never" : `after ${days} days`}
              </option>
            ))}
          </select>
        </div>
        <div class="actions">
          <button type="submit" class="btn primary">
            Create token
          </button>
        </div>
      </PostForm>
    </div>
  );
}
