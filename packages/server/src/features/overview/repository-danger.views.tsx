/** The danger zone of a repository: making it anew where its storage is empty. */
import type { JSX } from "preact";
import { formatNoun } from "../../platform/html/format.ts";
import { FormMessage, type FormState, PostForm } from "../../platform/html/forms.tsx";
import { Panel } from "../../platform/html/parts.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import type { RepositoryView } from "../maintenance/maintenance.ts";
import { ConfirmName } from "./repository-banners.views.tsx";
import { type Reachable, RunButton } from "./run-button.views.tsx";

export interface RepositoryDangerProps {
  host: Reachable & { id: string; name: string };
  view: RepositoryView;
  form?: FormState<"init_confirm_name"> | undefined;
}

/** Posts `init_confirm_name` to /hosts/{id}/init. Nothing to offer while no repository was ever seen: that init is a job. */
export function RepositoryDanger({ host, view, form }: RepositoryDangerProps): JSX.Element | null {
  const mayOperate = useMayOperate();
  const { resticId, snapshotCount } = view.repository;
  if (!mayOperate || resticId === null) return null;
  return (
    <Panel title="Danger zone" class="danger" id="repository-danger">
      <div class="panel-body">
        <p class="strong">Make the repository anew</p>
        <ul class="loss">
          <li>
            For a storage that was emptied or replaced: restic makes a new repository there, with the same
            password.
          </li>
          <li>
            Gone already then:{" "}
            {snapshotCount === null ? "all snapshots" : formatNoun(snapshotCount, "snapshot")} of{" "}
            <code>{resticId.slice(0, 8)}</code>
            {view.sharers.length > 1 ? `, of ${formatNoun(view.sharers.length, "host")}` : ""}. If its data
            can still be put back, do that instead.
          </li>
          <li>A repository that is there stays as it is: nothing in it is ever overwritten.</li>
        </ul>
        <FormMessage message={form?.message} />
        <PostForm action={`/hosts/${encodeURIComponent(host.id)}/init`} class="stack narrow">
          <ConfirmName name="init_confirm_name" hostName={host.name} form={form} />
          <div class="actions">
            <RunButton host={host} class="btn danger">
              Make anew
            </RunButton>
          </div>
        </PostForm>
      </div>
    </Panel>
  );
}
