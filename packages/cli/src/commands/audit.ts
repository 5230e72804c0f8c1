/** The audit trail. */
import { type Call, show } from "../call.ts";
import { wholeNumber } from "../lookup.ts";
import { table } from "../table.ts";
import { utc, visible } from "../text.ts";
import * as wire from "../wire.ts";

export async function listAudit(call: Call): Promise<undefined> {
  const { args } = call;
  const filter = ["user", "action", "target", "from", "to", "before"].map((name) => [name, args.text(name)]);
  const query = { ...Object.fromEntries(filter), limit: wholeNumber("limit", args.text("limit")) };
  const { raw, data } = await (await call.client()).get("/api/audit", wire.audit, query);
  await show(call, raw, (columns) => {
    const list = table(
      [
        { title: "TIME (UTC)" },
        { title: "BY", yields: true },
        { title: "ACTION", yields: true },
        { title: "TARGET", yields: true },
      ],
      data.entries.map(({ at, actor, action, target }) => [
        utc(at).replace(" UTC", ""),
        actor.token ? `${actor.name} (${actor.token})` : actor.name,
        action,
        target ? `${target.kind} ${target.name}` : "-",
      ]),
      columns,
    );
    return list + (data.next === null ? "" : `Older ones: --before ${visible(data.next)}\n`);
  });
}
