/**
 * The repository tab of a host: what stands in the way, figures, history, maintenance, and who reaches it with what. Until
 * the host has credentials there is only the form for them.
 */
import type { JSX } from "preact";
import type { FormState } from "../../platform/html/forms.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";
import type { RepositoryView } from "../maintenance/maintenance.ts";
import type { RotationPhase } from "../rotation/rotation.ts";
import type { TagCount } from "../snapshots/snapshots.ts";
import {
  type AccessFormState,
  AdminPanel,
  ConnectionPanel,
  type ConnectionProps,
  CredentialsPanel,
  SharersPanel,
  TagsPanel,
} from "./repository-access.views.tsx";
import { RepositoryBanners } from "./repository-banners.views.tsx";
import { RepositoryDanger } from "./repository-danger.views.tsx";
import { RepositoryFigures } from "./repository-figures.views.tsx";
import { RepairPanel, UpkeepPanel } from "./repository-upkeep.views.tsx";
import type { Reachable } from "./run-button.views.tsx";
import type { HistoryPoint } from "./size-chart.ts";
import { type ChartSpan, HistoryPanel } from "./size-chart.views.tsx";

/** The repository as it may be shown. */
export interface RepositoryTabProps extends ConnectionProps {
  /** Null until the host has credentials. */
  view: RepositoryView | null;
  history: readonly HistoryPoint[];
  span: ChartSpan;
  /** Of this host's snapshots, the most first. */
  tags: readonly TagCount[];
  /** How far the rotation of its password is; null when none is under way. */
  rotation: RotationPhase | null;
  adminForm?: AccessFormState;
  unlockForm?: FormState<"unlock_confirm_name">;
  acceptForm?: FormState<"accept_confirm_name">;
  initForm?: FormState<"init_confirm_name">;
}

export function RepositoryTab(
  props: RepositoryTabProps & { host: Reachable & { id: string; name: string } },
): JSX.Element {
  const { view, host } = props;
  const mayOperate = useMayOperate();
  if (view === null)
    return mayOperate ? (
      <CredentialsPanel {...props} hostId={host.id} />
    ) : (
      <ConnectionPanel {...props} resticId={null} />
    );
  return (
    <>
      <RepositoryBanners
        host={host}
        view={view}
        rotation={props.rotation}
        unlockForm={props.unlockForm}
        acceptForm={props.acceptForm}
      />
      <RepositoryFigures view={view} />
      <RepairPanel host={host} view={view} />
      <HistoryPanel hostId={host.id} span={props.span} history={props.history} />
      <UpkeepPanel host={host} view={view} />
      <TagsPanel tags={props.tags} />
      <SharersPanel sharers={view.sharers} hostId={host.id} />
      <ConnectionPanel {...props} resticId={view.repository.resticId} />
      <AdminPanel
        hostId={host.id}
        access={props.access}
        admin={view.adminCredentials}
        form={props.adminForm}
      />
      {mayOperate ? <CredentialsPanel {...props} hostId={host.id} /> : null}
      <RepositoryDanger host={host} view={view} form={props.initForm} />
    </>
  );
}
