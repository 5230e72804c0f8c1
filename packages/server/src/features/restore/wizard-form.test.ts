/** From the fields of the wizard to a wish, and from its problems back to the fields. */
import { describe, expect, it } from "vitest";
import { emptyWizard, readWizard, wizardProblems } from "./wizard-form.ts";

const values = { ...emptyWizard, snapshot: "ab", paths: ["/etc"] };

describe("the wish", () => {
  it("is a new folder at its default when nothing else was chosen", () => {
    expect(readWizard(values, null, false)).toEqual({
      snapshot_id: "ab",
      paths: ["/etc"],
      target: { kind: "directory" },
    });
  });

  it("has the paths of the tree and those typed, each once, with their blanks", () => {
    const lines = "/srv/a \r\n\n/etc\n/srv/b";
    expect(readWizard({ ...values, lines }, null, false).paths).toEqual(["/etc", "/srv/a ", "/srv/b"]);
  });

  it("carries everything that was chosen", () => {
    const all = {
      ...values,
      ...{
        target: "in_place",
        overwrite: "if-newer",
        confirm_name: "web-01",
        keep_ownership: "on",
        verify: "on",
      },
      ...{ includes: " *.conf \n", excludes: "", path_map: "/srv => /mnt/srv\n/a=>/b" },
    };
    expect(readWizard(all, null, true)).toEqual({
      snapshot_id: "ab",
      paths: ["/etc"],
      target: { kind: "in_place", overwrite: "if-newer", confirm_name: "web-01" },
      keep_ownership: true,
      includes: ["*.conf"],
      path_map: [
        { from: "/srv", to: "/mnt/srv" },
        { from: "/a", to: "/b" },
      ],
      verify: true,
      dry_run: true,
    });
  });

  it("names another host by its id, with its typed name", () => {
    const other = { ...values, to: "web-02", confirm_name: "web-02", directory: " /mnt/x " };
    expect(readWizard(other, "H2", false)).toMatchObject({
      target: { kind: "directory", path: "/mnt/x" },
      to: { host_id: "H2", confirm_name: "web-02" },
    });
    expect(readWizard(other, null, false)).not.toHaveProperty("to");
  });

  it("leaves what can't be to the rules: a policy that does not exist, a place without an arrow", () => {
    const odd = { ...values, target: "in_place", overwrite: "burn", path_map: "/srv" };
    expect(readWizard(odd, null, false)).toMatchObject({
      target: { kind: "in_place", confirm_name: "" },
      path_map: [{ from: "/srv", to: "" }],
    });
  });
});

it("problems stand at their fields, the first of each", () => {
  expect(
    wizardProblems({
      "paths.3": "three",
      "paths.4": "four",
      "target.path": "path",
      "target.confirm_name": "name",
      "to.host_id": "host",
      "includes.0": "pattern",
      "path_map.0.to": "place",
      snapshot_id: "snapshot",
      unknown: "nowhere",
    }),
  ).toEqual({
    ...{ lines: "three", directory: "path", confirm_name: "name", to: "host" },
    ...{ includes: "pattern", path_map: "place", snapshot: "snapshot" },
  });
});
