/**
 * The card on /login (sign in, or first run while no admin exists) and the account page. Passwords are
 * never shown again, whatever went wrong with the form.
 */
import type { ComponentChildren, JSX } from "preact";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { Icon, Mark } from "../../platform/html/icons.tsx";
import { renderPage } from "../../platform/html/page.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { type PageContext, usePage } from "../../platform/html/scope.ts";
import { SettingsTabs } from "../../platform/html/settings-tabs.tsx";
import { ThemeSwitch } from "../../platform/html/shell.tsx";
import type { Tone } from "../../platform/html/state.tsx";
import { ApiTokens, type TokensProps } from "./tokens.views.tsx";

/** The sign-in card. */
export interface SignInProps {
  /** Where to go afterwards; a path of this server. */
  returnTo?: string;
  form?: FormState<"username" | "password">;
  /** Shown above the form without colour of failure, e.g. after signing out. */
  note?: string;
}

/** The card for the first admin. */
export interface FirstRunProps {
  /** The token is filled in when the reader came by the link in the log. */
  form?: FormState<"token" | "username" | "password">;
  minPasswordLength: number;
}

/** The reader's own account. */
export interface AccountProps {
  form?: FormState<"current_password" | "new_password" | "repeat_password">;
  minPasswordLength: number;
  notice?: { tone: Tone; text: string };
  apiTokens: TokensProps;
}

/** Posts `username`, `password`, `return_to` to /login. */
export function renderSignInPage(page: PageContext, props: SignInProps): string {
  return renderPage(page, { title: "Sign in", content: <SignIn {...props} /> });
}

/** Posts `token`, `username`, `password` to /login/setup. */
export function renderFirstRunPage(page: PageContext, props: FirstRunProps): string {
  return renderPage(page, { title: "First run", content: <FirstRun {...props} /> });
}

/** Posts `current_password`, `new_password`, `repeat_password` to /settings/account; signs out by /logout. */
export function renderAccountPage(page: PageContext, props: AccountProps): string {
  return renderPage(page, {
    title: "Account · Settings",
    nav: "settings",
    crumbs: [{ label: "Settings" }],
    notice: props.notice,
    content: <Account {...props} />,
  });
}

function Card(props: { title: string; lead: string; children: ComponentChildren }): JSX.Element {
  const page = usePage();
  return (
    <div class="door">
      <div class="door-brand">
        <Mark />
        restic-manager
      </div>
      <section class="card" aria-labelledby="card-title">
        <h1 id="card-title">{props.title}</h1>
        <p class="muted">{props.lead}</p>
        {props.children}
      </section>
      <footer class="door-foot">
        <span>v{page.version}</span>
        <ThemeSwitch />
      </footer>
    </div>
  );
}

function SignIn(props: SignInProps): JSX.Element {
  const { values = {}, errors = {}, message } = props.form ?? {};
  return (
    <Card title="Sign in" lead={props.note ?? "Backups of your whole fleet, in one place."}>
      <FormMessage message={message} />
      <PostForm action="/login" class="stack">
        {props.returnTo ? <input type="hidden" name="return_to" value={props.returnTo} /> : null}
        <Field
          name="username"
          label="Name"
          value={values.username}
          error={errors.username}
          autocomplete="username"
          autofocus={!values.username}
        />
        <Field
          name="password"
          label="Password"
          type="password"
          error={errors.password}
          autocomplete="current-password"
          autofocus={Boolean(values.username)}
        />
        <button type="submit" class="btn primary wide">
          Sign in
        </button>
      </PostForm>
    </Card>
  );
}

function FirstRun(props: FirstRunProps): JSX.Element {
  const { values = {}, errors = {}, message } = props.form ?? {};
  return (
    <Card
      title="Create the first admin"
      lead="This server has no users yet. The setup token proves that you run it."
    >
      <FormMessage message={message} />
      <PostForm action="/login/setup" class="stack">
        <Field
          name="token"
          label="Setup token"
          value={values.token}
          error={errors.token}
          mono
          hint="Printed in the server’s log at start; works once."
          autofocus={!values.token}
        />
        <Field
          name="username"
          label="Name"
          value={values.username}
          error={errors.username}
          autocomplete="username"
          autofocus={Boolean(values.token)}
        />
        <Field
          name="password"
          label="Password"
          type="password"
          error={errors.password}
          autocomplete="new-password"
          hint={`At least ${props.minPasswordLength} characters. Any characters; length is what counts.`}
        />
        <button type="submit" class="btn primary wide">
          Create admin and sign in
        </button>
      </PostForm>
    </Card>
  );
}

function Account(props: AccountProps): JSX.Element {
  const page = usePage();
  return (
    <>
      <div class="head">
        <h1>Account</h1>
      </div>
      <SettingsTabs current="account" />
      <div class="column">
        <Panel title="You">
          <div class="setting">
            <div>
              <p class="strong">{page.user?.name}</p>
              <p class="faint">Signed in as {page.user?.role}</p>
            </div>
            <PostForm action="/logout">
              <button type="submit" class="btn">
                Sign out
              </button>
            </PostForm>
          </div>
          <div class="setting">
            <div>
              <p class="strong">Theme</p>
              <p class="faint">Remembered in this browser.</p>
            </div>
            <ThemeSwitch label="Theme of this browser" />
          </div>
        </Panel>
        <ApiTokens {...props.apiTokens} />
        <Password {...props} />
        <p class="build-line faint">
          restic-manager v{page.version} · {page.database}
        </p>
      </div>
    </>
  );
}

function Password(props: AccountProps): JSX.Element {
  const { errors = {}, message } = props.form ?? {};
  return (
    <Panel title="Change password">
      <div class="panel-body">
        <FormMessage message={message} />
        <PostForm action="/settings/account" class="stack narrow">
          <Field
            name="current_password"
            label="Current password"
            type="password"
            error={errors.current_password}
            autocomplete="current-password"
          />
          <Field
            name="new_password"
            label="New password"
            type="password"
            error={errors.new_password}
            autocomplete="new-password"
            hint={`At least ${props.minPasswordLength} characters.`}
          />
          <Field
            name="repeat_password"
            label="New password again"
            type="password"
            error={errors.repeat_password}
            autocomplete="new-password"
          />
          <p class="hint with-icon">
            <Icon name="info" />
            Every other session of yours is signed out. API tokens go on; revoke them above.
          </p>
          <div class="actions">
            <button type="submit" class="btn primary">
              Change password
            </button>
          </div>
        </PostForm>
      </div>
    </Panel>
  );
}
