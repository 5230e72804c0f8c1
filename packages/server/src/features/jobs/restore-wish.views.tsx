/** What a restore was asked to do, above its progress, and the way to what runs before it. Paths are untrusted. */
import type { OverwritePolicy } from "@restic-manager/protocol";
import type { JSX } from "preact";
import { formatCount } from "../../platform/html/format.ts";
import { PostForm } from "../../platform/html/forms.tsx";
import { useMayOperate } from "../../platform/html/scope.ts";

/** A restore as it was asked for. */
export interface RestoreOrder {
  /** The first selections. */
  paths: readonly string[];
  pathCount: number;
  /** The host that the snapshot is of, when that is another one. */
  from: { id: string; name: string } | null;
  /** The folder as it was written; null for the default one, and in place. */
  folder: string | null;
  /** In place: what becomes of files that are there. */
  overwrite: OverwritePolicy | null;
  dryRun: boolean;
}

/** A job that runs, or will run, before a restore. */
export interface Blocker {
  id: string;
  kind: string;
  cancelling: boolean;
}

const KEPT: Record<OverwritePolicy, string> = {
  always: "files that are there are replaced",
  "if-changed": "files that differ are replaced",
  "if-newer": "files that are older are replaced",
  never: "files that are there stay",
};

/** The words of the order. */
export function RestoreWish({ order }: { order: RestoreOrder }): JSX.Element {
  const more = order.pathCount - order.paths.length;
  return (
    <div class="restore-wish" id="restore-wish">
      <p class="muted">
        {order.dryRun ? "Dry run. " : ""}
        {order.from === null ? null : (
          <>
            Of{" "}
            <a class="link mono" href={`/hosts/${encodeURIComponent(order.from.id)}`}>
              {order.from.name}
            </a>
            .{" "}
          </>
        )}
        {whereWords(order)}
      </p>
      <ul class="mono restore-paths">
        {order.paths.map((path) => (
          <li key={path} class="clip" title={path}>
            {path}
          </li>
        ))}
      </ul>
      {more > 0 ? <p class="faint">and {formatCount(more)} more</p> : null}
    </div>
  );
}

function whereWords({ overwrite, folder }: RestoreOrder): JSX.Element {
  if (overwrite !== null) return <>In place: {KEPT[overwrite]}.</>;
  return folder === null ? (
    <>Into a new folder in the home of the agent’s user.</>
  ) : (
    <>
      Into <span class="mono break">{folder}</span>
    </>
  );
}

/** One click, and the restore is the next: the page stays on it. */
export function CancelBlocker({ jobId, blocker }: { jobId: string; blocker: Blocker }): JSX.Element | null {
  const mayOperate = useMayOperate();
  const url = `/jobs/${encodeURIComponent(blocker.id)}`;
  return (
    <div class="blocker">
      <a class="link" href={url}>
        Open it
      </a>
      {mayOperate ? (
        <PostForm action={`${url}/cancel?for=${encodeURIComponent(jobId)}`}>
          <button type="submit" class="btn small danger" disabled={blocker.cancelling}>
            {blocker.cancelling ? "Cancelling…" : `Cancel that ${blocker.kind}`}
          </button>
        </PostForm>
      ) : null}
    </div>
  );
}
