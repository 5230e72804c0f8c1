/**
 * The page of a rotation: what it does and what it does not before it starts, how far it is while it runs, the one decision
 * in it that can't be undone, and what became of it. The password that we made is on one answer and nowhere else.
 */
import type { JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { Choice, Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { renderFragment, renderPage } from "../../platform/html/page.tsx";
import { CopyBlock, Notice, Panel } from "../../platform/html/parts.tsx";
import { type PageContext, useMayOperate } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import { HostsPanel, KeysPanel, StepsPanel } from "./rotation-progress.views.tsx";
import type { RotationView } from "./rotation-view.ts";

export interface RotationPageProps {
  view: RotationView;
  /** On the answer that started it only, when it was made by us. */
  mintedPassword?: string;
  form?: FormState<"password" | "confirmed"> | undefined;
}

/** A rotation that exists. */
type Running = NonNullable<RotationView["rotation"]>;

const hostUrl = ({ id }: { id: string }): string => `/hosts/${encodeURIComponent(id)}`;

/** The page /hosts/{id}/rotation. */
export function renderRotationPage(page: PageContext, props: RotationPageProps): string {
  const { host, location, rotation } = props.view;
  const fragmentUrl = `/fragments${hostUrl(host)}/rotation`;
  const live = rotation === null || rotation.endedAt !== null ? {} : { "data-live-src": fragmentUrl };
  return renderPage(page, {
    title: `${host.name} · Rotate password`,
    nav: "dashboard",
    crumbs: [
      { label: "Hosts", href: "/" },
      { label: host.name, href: hostUrl(host), mono: true },
      { label: "Repository", href: `${hostUrl(host)}?tab=repository` },
      { label: "Rotate password" },
    ],
    content: (
      <div class="column wide">
        <div class="head">
          <div class="head-main">
            <h1>Rotate the encryption password</h1>
            <p class="head-line">
              <span class="mono break">{location}</span>
            </p>
          </div>
        </div>
        <FormMessage message={props.form?.message} />
        {props.mintedPassword === undefined ? null : <MintedPassword password={props.mintedPassword} />}
        <div id="rotation" class="rotation" {...live} data-live-ms="2000" aria-live="polite">
          <RotationBody {...props} />
        </div>
      </div>
    ),
  });
}

/** The fragment /fragments/hosts/{id}/rotation. */
export function renderRotationFragment(page: PageContext, props: RotationPageProps): string {
  return renderFragment(page, <RotationBody {...props} />);
}

function RotationBody(props: RotationPageProps): JSX.Element {
  const { view } = props;
  const { rotation } = view;
  if (rotation === null || rotation.endedAt !== null) return <BeforeStart {...props} />;
  return (
    <>
      <StepsPanel rotation={rotation} hosts={view.hosts} />
      <ProblemNotice view={view} rotation={rotation} />
      {rotation.state === "ready" ? <Confirmation {...props} rotation={rotation} /> : null}
      <HostsPanel view={view} />
      <KeysPanel keys={rotation.keys} />
      <StopPanel view={view} rotation={rotation} />
    </>
  );
}

function MintedPassword({ password }: { password: string }): JSX.Element {
  return (
    <Panel title="New encryption password" note="shown only now" class="warn">
      <div class="panel-body stack">
        <Notice tone="warn" title="Store it now, where this server is not.">
          Once the old keys are removed, no snapshot of this repository can be read without it. We keep it
          encrypted and never show it again.
        </Notice>
        <CopyBlock id="minted-password" text={password} label="new encryption password" />
      </div>
    </Panel>
  );
}

function BeforeStart({ view, form }: RotationPageProps): JSX.Element {
  const mayOperate = useMayOperate();
  const { rotation } = view;
  return (
    <>
      {rotation === null ? null : <LastOne rotation={rotation} />}
      <Panel title="What happens">
        <ol class="rotation-plan">
          <li>
            <strong>The new password is added.</strong> From then on both open the repository.
          </li>
          <li>
            <strong>Each host is switched.</strong> It opens the repository with the new password first; only
            then is that stored for it, its admin credentials included, and its agent proves it once more.
          </li>
          <li>
            <strong>You confirm.</strong> Nothing is lost until here, and you can stop at any time.
          </li>
          <li>
            <strong>The old keys are removed.</strong> The old password opens nothing any more.
          </li>
        </ol>
        <p class="panel-body hint">
          Backups run on meanwhile. A host that is offline is waited for; it never keeps only a password that
          no longer works.
        </p>
      </Panel>
      <NotDone />
      <HostsPanel view={view} />
      {mayOperate ? <StartForm view={view} form={form} /> : null}
      {rotation === null ? null : <KeysPanel keys={rotation.keys} />}
    </>
  );
}

/** restic's rotation changes the door's key, not the safe behind it. */
function NotDone(): JSX.Element {
  return (
    <Notice tone="idle" title="What it does not do: the master key stays.">
      <span>
        A password only unlocks the repository’s master key, and restic can’t change that one or encrypt anew.
        Whoever copied an old key file and knows its password can still read all that they can reach of the
        repository, now and later. Did an attacker have both? Then only a new repository helps.
      </span>
    </Notice>
  );
}

function LastOne({ rotation }: { rotation: Running }): JSX.Element {
  const at = rotation.endedAt ?? rotation.changedAt;
  const removed = rotation.keys.filter(({ role, removedAt }) => role === "old" && removedAt !== null).length;
  const left = rotation.keys.filter(({ role, removedAt }) => role === "old" && removedAt === null).length;
  return rotation.state === "done" ? (
    <div id="rotation-end" data-live-end="">
      <Notice tone="ok" title="The password was replaced.">
        <span>
          Started by {rotation.startedBy}, done <Time at={at} />. Every host uses the new one, and{" "}
          {formatNoun(removed, "old key")} {removed === 1 ? "was" : "were"} removed.
        </span>
      </Notice>
    </div>
  ) : (
    <div id="rotation-end" data-live-end="">
      <Notice tone="warn" title="The last rotation was stopped.">
        <span>
          <Time at={at} />. Hosts that had the new password by then keep it, the others have the old one, and
          both open the repository{left > 0 ? `: ${formatNoun(left, "old key")} stayed` : ""}. A new rotation
          begins anew, with another password or, if you know it, with the same.
        </span>
      </Notice>
    </div>
  );
}

function StartForm({ view, form }: RotationPageProps): JSX.Element {
  const offline = view.hosts.filter(({ isOnline }) => !isOnline).length;
  return (
    <Panel title="New password" id="rotation-start">
      <div class="panel-body">
        <PostForm action={`${hostUrl(view.host)}/rotation`} class="stack">
          <Field
            name="password"
            label="New encryption password"
            type="password"
            optional
            autocomplete="new-password"
            error={form?.errors?.password}
            hint="Leave it empty and a strong one is made and shown once."
          />
          <div class="actions">
            <button type="submit" class="btn primary">
              Start the rotation
            </button>
            <a class="btn quiet" href={`${hostUrl(view.host)}?tab=repository`}>
              Cancel
            </a>
          </div>
          {offline === 0 ? null : (
            <p class="hint">
              {formatNoun(offline, "host")} {offline === 1 ? "is" : "are"} offline: the old keys stay until{" "}
              {offline === 1 ? "it is" : "they are"} back.
            </p>
          )}
        </PostForm>
      </div>
    </Panel>
  );
}

function ProblemNotice({ view, rotation }: { view: RotationView; rotation: Running }): JSX.Element | null {
  const mayOperate = useMayOperate();
  const { problem, retryAt } = rotation;
  const stuck = view.hosts.some(({ accesses }) => accesses.some((access) => isStuck(access)));
  if (problem === null && !stuck) return null;
  return (
    <div id="rotation-problem">
      <Notice
        tone={problem !== null && retryAt !== null && !stuck ? "warn" : "fail"}
        title={problem === null ? "A host can’t go on by itself." : stepFailed(rotation)}
      >
        {problem === null ? (
          <p>The list below says why. Put it right, then try again.</p>
        ) : (
          <p>
            {problem.message}
            {retryAt === null ? null : (
              <>
                {" "}
                It is tried again <Time at={retryAt} />.
              </>
            )}
          </p>
        )}
        {mayOperate && rotation.state !== "ready" ? (
          <PostForm action={`${hostUrl(view.host)}/rotation/retry`} class="actions">
            <button type="submit" class="btn">
              Try again
            </button>
          </PostForm>
        ) : null}
      </Notice>
    </div>
  );
}

/** Whether only a person can make this one go on. */
const isStuck = ({ problem, retryAt }: { problem: unknown; retryAt: number | null }): boolean =>
  problem !== null && retryAt === null;

const stepFailed = ({ state }: Running): string =>
  state === "adding" ? "The new password could not be added." : "The old keys could not be removed.";

function Confirmation({ view, rotation, form }: RotationPageProps & { rotation: Running }): JSX.Element {
  const mayOperate = useMayOperate();
  const old = rotation.keys.filter(({ role, removedAt }) => role === "old" && removedAt === null);
  const others = rotation.keys.filter(({ role }) => role === "other").length;
  const error = form?.errors?.confirmed;
  return (
    <Panel title="Remove the old keys" note="this can’t be undone" class="warn" id="rotation-confirm">
      <div class="panel-body stack">
        <p>
          Every host uses the new password now. Removing {formatNoun(old.length, "old key")} locks the old
          password out
          {others === 0
            ? "; from then on nothing but the new one opens the repository."
            : `. ${formatNoun(others, "other key")} that no host of ours uses ${others === 1 ? "stays" : "stay"}.`}
        </p>
        {mayOperate ? (
          <PostForm action={`${hostUrl(view.host)}/rotation/remove`} class="stack">
            <FormMessage message={error} />
            <Choice type="checkbox" name="confirmed" checked={false} boxed>
              The new password is stored where I find it without this server
            </Choice>
            <div class="actions">
              <button type="submit" class="btn danger">
                Remove the old keys
              </button>
            </div>
          </PostForm>
        ) : (
          <p class="hint">An operator decides this.</p>
        )}
      </div>
    </Panel>
  );
}

function StopPanel({ view, rotation }: { view: RotationView; rotation: Running }): JSX.Element | null {
  const mayOperate = useMayOperate();
  if (!mayOperate || (rotation.state === "removing" && rotation.jobId !== null)) return null;
  return (
    <PostForm action={`${hostUrl(view.host)}/rotation/stop`} class="offer">
      <p class="hint">
        Stopped, it removes no key: hosts that have the new password keep it, the others keep the old one, and
        both open the repository.
      </p>
      <button type="submit" class="btn danger">
        Stop the rotation
      </button>
    </PostForm>
  );
}
