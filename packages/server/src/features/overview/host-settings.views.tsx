/** The danger zone of a host: its end, with what is lost by it. */
import type { JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { Field, FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";

/** What deleting the host loses, in numbers. */
export interface DangerZoneProps {
  loss: { jobCount: number; snapshotCount: number; sourceGroupCount: number };
  form?: FormState<"confirm_name">;
}

/** Deleting the host; posts `confirm_name` to /hosts/{id}/delete. */
export function DangerZone(props: DangerZoneProps & { hostId: string; hostName: string }): JSX.Element {
  const mayOperate = useMayOperate();
  const { values = {}, errors = {}, message } = props.form ?? {};
  const { loss } = props;
  if (!mayOperate) {
    return (
      <Panel title="Settings">
        <p class="panel-body muted">Only operators and admins change a host.</p>
      </Panel>
    );
  }
  return (
    <Panel title="Danger zone" class="danger">
      <div class="panel-body">
        <p class="strong">Delete this host</p>
        <ul class="loss">
          <li>
            Lost here: {formatNoun(loss.jobCount, "job")} with logs,{" "}
            {formatNoun(loss.sourceGroupCount, "source group")}, the stored credentials.
          </li>
          <li>
            Kept: {formatNoun(loss.snapshotCount, "snapshot")} in the repository. restic still reads{" "}
            {loss.snapshotCount === 1 ? "it" : "them"}, with the repository’s password.
          </li>
          <li>The agent is told, stops, and needs a new token to come back.</li>
        </ul>
        <FormMessage message={message} />
        <PostForm action={`/hosts/${encodeURIComponent(props.hostId)}/delete`} class="stack narrow">
          <Field
            name="confirm_name"
            label="Type the host’s name"
            mono
            value={values.confirm_name}
            error={errors.confirm_name}
            hint={
              <>
                It is <code class="break">{props.hostName}</code>.
              </>
            }
          />
          <div class="actions">
            <button type="submit" class="btn danger">
              Delete host
            </button>
          </div>
        </PostForm>
      </div>
    </Panel>
  );
}
