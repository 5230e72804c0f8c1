/** What stands above everything else on a repository's page: another repository in its place, locks, refused deletion. */
import type { JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { Notice } from "../../platform/html/parts.tsx";
import { useMayOperate, usePage } from "../../platform/html/scope.ts";
import { Time } from "../../platform/html/values.tsx";
import type { RepositoryView } from "../maintenance/maintenance.ts";
import type { RotationPhase } from "../rotation/rotation.ts";
import { lockHolder, staleLocks } from "./repository-words.ts";
import { type Reachable, RunButton } from "./run-button.views.tsx";

export interface BannerProps {
  host: Reachable & { id: string; name: string };
  view: RepositoryView;
  rotation: RotationPhase | null;
  unlockForm?: FormState<"unlock_confirm_name"> | undefined;
  acceptForm?: FormState<"accept_confirm_name"> | undefined;
}

export function RepositoryBanners(props: BannerProps): JSX.Element {
  return (
    <>
      <SwappedBanner {...props} />
      <RotationBanner {...props} />
      <LockBanner {...props} />
      {props.view.isAdminRefused ? (
        <Notice tone="warn" title="The admin credentials may not delete.">
          <span>
            The last prune was refused by the storage, so planned prunes wait. Give credentials that are not
            append-only below; then prune again.
          </span>
        </Notice>
      ) : null}
    </>
  );
}

const rotationWords: Record<RotationPhase, string> = {
  adding: "The new password is being added.",
  switching: "Hosts are being switched to the new password, one by one.",
  ready: "Every host uses the new password. The old keys wait for somebody to confirm that they go.",
  removing: "The old keys are being removed.",
};

function RotationBanner({ host, rotation }: BannerProps): JSX.Element | null {
  if (rotation === null) return null;
  return (
    <div id="repository-rotation">
      <Notice
        tone={rotation === "ready" ? "warn" : "running"}
        title="The encryption password is being rotated."
      >
        <p>
          {rotationWords[rotation]} An encryption password that is typed by hand meanwhile makes its host
          begin anew.
        </p>
        <p class="actions">
          <a class="btn" href={`${hostUrl(host)}/rotation`}>
            Open the rotation
          </a>
        </p>
      </Notice>
    </div>
  );
}

const hostUrl = (host: { id: string }): string => `/hosts/${encodeURIComponent(host.id)}`;

type ConfirmField = "unlock_confirm_name" | "accept_confirm_name" | "init_confirm_name";

/** The name of the host, typed to show that it was meant. */
export function ConfirmName(props: {
  name: ConfirmField;
  hostName: string;
  form: FormState<ConfirmField> | undefined;
}): JSX.Element {
  const { values = {}, errors = {} } = props.form ?? {};
  return (
    <Field
      name={props.name}
      label="Type the host’s name"
      mono
      value={values[props.name]}
      error={errors[props.name]}
      hint={
        <>
          It is <code class="break">{props.hostName}</code>.
        </>
      }
    />
  );
}

function SwappedBanner({ host, view, acceptForm }: BannerProps): JSX.Element | null {
  const mayOperate = useMayOperate();
  const { foreignId, resticId } = view.repository;
  if (foreignId === null) return null;
  return (
    <div id="repository-swapped">
      <Notice tone="fail" title="Another repository answers under this address.">
        <p>
          It was <code>{resticId?.slice(0, 8) ?? "unknown"}</code> and is now{" "}
          <code>{foreignId.slice(0, 8)}</code>. Nothing is done to it: no backup, no forget, no prune. Put the
          right one back, and this goes away with the next report of a host.
        </p>
        {mayOperate ? (
          <details class="more-options" open={acceptForm !== undefined}>
            <summary>The new one is the right one</summary>
            <PostForm action={`${hostUrl(host)}/accept-id`} class="stack narrow">
              <FormMessage message={acceptForm?.message} />
              <p>
                Its id is taken over for every host that shares it. Figures, locks and what was read by checks
                begin anew.
              </p>
              <ConfirmName name="accept_confirm_name" hostName={host.name} form={acceptForm} />
              <div class="actions">
                <button type="submit" class="btn danger">
                  Accept the new id
                </button>
              </div>
            </PostForm>
          </details>
        ) : null}
      </Notice>
    </div>
  );
}

function LockBanner(props: BannerProps): JSX.Element | null {
  const { host, view, unlockForm } = props;
  const { now } = usePage();
  const mayOperate = useMayOperate();
  const stale = staleLocks(view, now);
  const locks = stale.length > 0 || unlockForm ? (view.locks ?? []) : [];
  if (locks.length === 0 && unlockForm === undefined) return null;
  return (
    <div id="repository-locks">
      <Notice tone="warn" title={`${formatNoun(stale.length, "lock")} left behind.`}>
        <p>{effectWords(stale)}</p>
        <ul class="locks">
          {locks.map((lock) => (
            <LockLine key={lock.id} lock={lock} />
          ))}
        </ul>
        {mayOperate ? (
          <>
            <PostForm action={`${hostUrl(host)}/unlock`} class="actions">
              <RunButton host={host} class="btn">
                Unlock
              </RunButton>
              <span class="hint">Removes locks whose holder is gone, and no other.</span>
            </PostForm>
            <RemoveAll {...props} />
          </>
        ) : null}
      </Notice>
    </div>
  );
}

/** What a lock keeps from running, by restic's rules. */
const effectWords = (locks: readonly { exclusive: boolean }[]): string =>
  locks.some(({ exclusive }) => exclusive)
    ? "Nothing runs beside an exclusive lock, backups neither."
    : "Whatever needs the repository for itself waits: forget, prune and check.";

function LockLine({ lock }: { lock: NonNullable<RepositoryView["locks"]>[number] }): JSX.Element {
  const holder = lockHolder(lock);
  return (
    <li>
      <span class="mono break">
        {lock.username}@
        {lock.host === null ? (
          lock.hostname
        ) : (
          <a class="link" href={hostUrl(lock.host)}>
            {lock.hostname}
          </a>
        )}
      </span>
      <span>
        pid <span class="mono">{lock.pid}</span>, {lock.exclusive ? "exclusive" : "shared"},{" "}
        <Time at={lock.createdAt} />
      </span>
      <span class={`word ${holder.tone}`}>
        {lock.job === null ? (
          holder.word
        ) : (
          <a href={`/jobs/${encodeURIComponent(lock.job.id)}`}>{holder.word}</a>
        )}
        {lock.ours || lock.host !== null ? "" : "; none of our hosts"}
      </span>
    </li>
  );
}

function RemoveAll({ host, unlockForm }: BannerProps): JSX.Element {
  return (
    <details class="more-options" open={unlockForm !== undefined}>
      <summary>Remove all locks</summary>
      <PostForm action={`${hostUrl(host)}/unlock`} class="stack narrow">
        <input type="hidden" name="remove_all" value="1" />
        <FormMessage message={unlockForm?.message} />
        <p>
          Also those in use: a prune beside a backup that still runs can destroy what it wrote. Be sure that
          nothing uses the repository, also none of the programs that this page does not know.
        </p>
        <ConfirmName name="unlock_confirm_name" hostName={host.name} form={unlockForm} />
        <div class="actions">
          <RunButton host={host} class="btn danger">
            Remove all locks
          </RunButton>
        </div>
      </PostForm>
    </details>
  );
}
