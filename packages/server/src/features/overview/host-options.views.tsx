/** The settings tab of a host: how it is expected to be there, its bandwidth, its default hooks; the danger zone last. */
import type { JSX } from "preact";
import {
  Choice,
  ChoiceSet,
  Field,
  FormMessage,
  type FormState,
  PostForm,
} from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import type { HostMode } from "../hosts/hosts.ts";
import { type HookField, HookFields } from "../sources/sources.ts";
import { DangerZone, type DangerZoneProps } from "./host-settings.views.tsx";

/** What can be set of a host. */
export interface SettingsTabProps extends DangerZoneProps {
  mode: HostMode;
  caps: { upload: string; download: string };
  capsForm?: FormState<"upload_kib" | "download_kib">;
  windows: boolean;
  hooksAllowed: boolean | null;
  /** The stored scripts, or what was typed. Empty for those who may not edit them. */
  hooks: Readonly<Record<HookField, string>>;
  hooksForm?: FormState<HookField>;
}

type HostProps = { hostId: string; hostName: string };

/** Forms that post to /hosts/{id}/mode, …/bandwidth, …/hooks and …/delete. */
export function SettingsTab(props: SettingsTabProps & HostProps): JSX.Element {
  const mayOperate = useMayOperate();
  if (!mayOperate) return <DangerZone {...props} />;
  return (
    <>
      <ModePanel {...props} />
      <BandwidthPanel {...props} />
      <DefaultHooks {...props} />
      <DangerZone {...props} />
    </>
  );
}

function ModePanel({ mode, hostId }: SettingsTabProps & HostProps): JSX.Element {
  return (
    <Panel title="Presence">
      <div class="panel-body">
        <PostForm action={`/hosts/${encodeURIComponent(hostId)}/mode`} class="stack">
          <ChoiceSet name="mode" legend="This host is" class="choices boxes two-up">
            <Choice
              type="radio"
              name="mode"
              value="always-on"
              boxed
              checked={mode === "always-on"}
              hint="A server. Offline means that something is wrong with it."
            >
              Always on
            </Choice>
            <Choice
              type="radio"
              name="mode"
              value="intermittent"
              boxed
              checked={mode === "intermittent"}
              hint="A laptop. Asleep is calm; what it missed runs once when it is back."
            >
              Intermittent
            </Choice>
          </ChoiceSet>
          <SaveButton />
        </PostForm>
      </div>
    </Panel>
  );
}

function BandwidthPanel({ caps, capsForm, hostId }: SettingsTabProps & HostProps): JSX.Element {
  const { values = {}, errors = {}, message } = capsForm ?? {};
  return (
    <Panel title="Bandwidth" note="of every restic run on this host">
      <div class="panel-body">
        <FormMessage message={message} />
        <PostForm action={`/hosts/${encodeURIComponent(hostId)}/bandwidth`} class="stack">
          <div class="two-up">
            <Field
              name="upload_kib"
              label="Upload"
              optional
              inputMode="numeric"
              unit="KiB/s"
              value={values.upload_kib ?? caps.upload}
              error={errors.upload_kib}
            />
            <Field
              name="download_kib"
              label="Download"
              optional
              inputMode="numeric"
              unit="KiB/s"
              value={values.download_kib ?? caps.download}
              error={errors.download_kib}
            />
          </div>
          <p class="hint">
            Empty is unlimited. 1,024 KiB/s is 1 MiB a second, on the line about 8.4 Mbit/s. It counts from
            the next run on.
          </p>
          <SaveButton />
        </PostForm>
      </div>
    </Panel>
  );
}

function DefaultHooks(props: SettingsTabProps & HostProps): JSX.Element {
  const { values = {}, errors = {}, message } = props.hooksForm ?? {};
  return (
    <Panel title="Default hooks" note="for groups without their own">
      <div class="panel-body">
        <FormMessage message={message} />
        <PostForm action={`/hosts/${encodeURIComponent(props.hostId)}/hooks`} class="stack">
          <HookFields
            allowed={props.hooksAllowed}
            windows={props.windows}
            values={{ ...props.hooks, ...values }}
            errors={errors}
            empty="Leave empty for none."
          />
          <SaveButton />
        </PostForm>
      </div>
    </Panel>
  );
}

function SaveButton(): JSX.Element {
  return (
    <div class="actions">
      <button type="submit" class="btn">
        Save
      </button>
    </div>
  );
}
