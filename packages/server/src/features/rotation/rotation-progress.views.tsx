/** How far a rotation is: its four steps, each host with what it waits for, and the repository's keys. */
import type { ComponentChildren, JSX } from "preact";
import { formatCount } from "../../platform/html/format.ts";
import { Panel } from "../../platform/html/parts.tsx";
import { Dot, type Tone } from "../../platform/html/state.tsx";
import { Time } from "../../platform/html/values.tsx";
import type { KeyRole, RotationKey } from "./rotation-state.ts";
import type { AccessView, RotationHost, RotationView } from "./rotation-view.ts";

type Running = NonNullable<RotationView["rotation"]>;

const isSwitched = ({ accesses }: RotationHost): boolean =>
  accesses.length > 0 && accesses.every(({ step }) => step === "verified");

/** Where the four steps stand. */
export function StepsPanel(props: { rotation: Running; hosts: readonly RotationHost[] }): JSX.Element {
  const { rotation, hosts } = props;
  const at = { adding: 0, switching: 1, ready: 2, removing: 3, done: 4, stopped: 4 }[rotation.state];
  const switched = hosts.filter(isSwitched).length;
  const steps = [
    ["Add the new key", ""],
    ["Switch each host", at < 1 ? "" : `${formatCount(switched)} of ${formatCount(hosts.length)}`],
    ["Confirm", at === 2 ? "waits for you" : ""],
    ["Remove the old keys", ""],
  ] as const;
  return (
    <Panel
      title="Under way"
      id="rotation-steps"
      note={
        <>
          started by {rotation.startedBy} <Time at={rotation.startedAt} />
        </>
      }
    >
      <ol class="rotation-steps">
        {steps.map(([name, detail], index) => (
          <li key={name} aria-current={index === at ? "step" : undefined}>
            <Dot tone={toneAt(index, at, rotation)} label={wordAt(index, at, rotation)} />
            <span>{name}</span>
            {detail === "" ? null : <small>{detail}</small>}
          </li>
        ))}
      </ol>
    </Panel>
  );
}

const toneAt = (index: number, at: number, rotation: Running): Tone => {
  if (index < at) return "ok";
  if (index > at) return "idle";
  return rotation.problem === null ? "running" : "warn";
};

const wordAt = (index: number, at: number, rotation: Running): string =>
  ({ ok: "done", idle: "not yet", running: "now", warn: "now, with a problem", fail: "failed" })[
    toneAt(index, at, rotation)
  ];

/** Everybody who shares the repository: online or not, and while a rotation runs what each is doing. */
export function HostsPanel({ view }: { view: RotationView }): JSX.Element {
  const running = view.rotation?.endedAt === null ? view.rotation : null;
  return (
    <Panel title="Hosts that share it" note={formatCount(view.hosts.length)} id="rotation-hosts">
      <ul class="sharers rotation-hosts">
        {view.hosts.map((host) => (
          <li key={host.id} id={`rotation-host-${host.id}`}>
            <Dot tone={host.isOnline ? "ok" : "idle"} label={host.isOnline ? "online" : "offline"} />
            <a class="link mono clip" href={`/hosts/${encodeURIComponent(host.id)}?tab=repository`}>
              {host.name}
            </a>
            <small>
              {running === null ? <Presence host={host} /> : <Progress host={host} rotation={running} />}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Presence({ host }: { host: RotationHost }): JSX.Element {
  if (host.isOnline) return <>online</>;
  return host.lastSeenAt === null ? (
    <>never connected</>
  ) : (
    <>
      offline, seen <Time at={host.lastSeenAt} />
    </>
  );
}

function Progress({ host, rotation }: { host: RotationHost; rotation: Running }): JSX.Element {
  if (host.accesses.length === 0) return <>{rotation.state === "adding" ? "next" : "joins in a moment"}</>;
  return (
    <>
      {host.accesses.map((access) => (
        <span key={access.slot} class="rotation-access">
          {host.accesses.length > 1
            ? `${access.slot === "admin" ? "Admin" : "Everyday"} credentials: `
            : null}
          <AccessWords access={access} host={host} rotation={rotation} />
        </span>
      ))}
    </>
  );
}

function AccessWords(props: { access: AccessView; host: RotationHost; rotation: Running }): JSX.Element {
  const { access, host, rotation } = props;
  if (access.step === "verified") return <span class="word ok">uses the new password</span>;
  if (access.jobId !== null) {
    return (
      <a class="word running" href={`/jobs/${encodeURIComponent(access.jobId)}`}>
        {access.step === "adopt" ? "trying the new password" : "switched, proving it"}
      </a>
    );
  }
  if (access.problem !== null) return <ProblemWords access={access} message={access.problem.message} />;
  if (!host.isOnline) {
    return (
      <Word tone="warn">
        waits for this host: <Presence host={host} />
      </Word>
    );
  }
  if (rotation.state === "adding") return <>waits for the new key</>;
  return <>{access.step === "adopt" ? "next" : "switched, to be proven"}</>;
}

function ProblemWords({ access, message }: { access: AccessView; message: string }): JSX.Element {
  return (
    <Word tone={access.retryAt === null ? "fail" : "warn"}>
      {message}
      {access.retryAt === null ? null : (
        <>
          {" "}
          Tried again <Time at={access.retryAt} />.
        </>
      )}
    </Word>
  );
}

const Word = ({ tone, children }: { tone: Tone; children: ComponentChildren }): JSX.Element => (
  <span class={`word ${tone}`}>{children}</span>
);

const roleWords: Record<KeyRole, { tone: Tone; word: string }> = {
  new: { tone: "ok", word: "new password" },
  old: { tone: "warn", word: "old password" },
  other: { tone: "idle", word: "none of our hosts’, left alone" },
};

/** The repository's keys as last listed. */
export function KeysPanel({ keys }: { keys: readonly RotationKey[] }): JSX.Element | null {
  if (keys.length === 0) return null;
  return (
    <Panel title="Keys of the repository" note="as last listed" id="rotation-keys">
      <ul class="sharers rotation-keys">
        {keys.map((key) => (
          <li key={key.id}>
            <Dot tone={key.removedAt === null ? roleWords[key.role].tone : "idle"} />
            <span class="mono" title={key.id}>
              {key.id.slice(0, 8)}
            </span>
            <span class="mono clip faint">
              {key.username}@{key.hostname}
            </span>
            <small>
              {key.removedAt === null ? (
                roleWords[key.role].word
              ) : (
                <>
                  removed <Time at={key.removedAt} />
                </>
              )}
              {key.createdAt === null ? null : (
                <>
                  , made <Time at={key.createdAt} />
                </>
              )}
            </small>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
