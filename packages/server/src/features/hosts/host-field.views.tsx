/**
 * A field for the name of one host out of many. It proposes the first few by itself and works as it is; the browser's
 * module (browser/host-field.ts) proposes others while one types.
 */
import type { JSX } from "preact";
import { Field, type FieldProps } from "../../platform/html/forms.tsx";
import type { HostOption } from "./hosts.ts";

export function HostField({
  hosts,
  onlineOnly = false,
  ...field
}: Omit<FieldProps, "list" | "mono" | "rows" | "type"> & {
  hosts: readonly HostOption[];
  onlineOnly?: boolean;
}): JSX.Element {
  const list = `hosts-${field.name}`;
  return (
    <div data-host-field={field.name} data-online-only={onlineOnly ? "" : undefined}>
      <Field {...field} mono list={list} />
      <datalist id={list}>
        {hosts.map(({ id, name, online }) => (
          <option key={id} value={name} data-id={id} data-online={online ? "" : undefined}>
            {online ? "online" : "offline"}
          </option>
        ))}
      </datalist>
    </div>
  );
}
