/** The form of maintenance and what is stored, there and back; and how a change by somebody else is told. */
import { describe, expect, it } from "vitest";
import { defaultMaintenance } from "./cadences.ts";
import {
  changeSentence,
  emptyCadences,
  maintenanceFields,
  maintenanceValues,
  readMaintenanceForm,
} from "./maintenance-form.ts";

const stored = defaultMaintenance("R1");
const values = maintenanceValues(stored);

describe("the form of maintenance", () => {
  it("reads back what it shows", () => {
    const { repositoryId: _id, version: _version, updatedAt: _at, ...draft } = stored;
    expect(readMaintenanceForm(values)).toEqual(draft);
    const parts = { ...stored, checkPercent: null, checkSlices: 43, pruneCron: null, ownerHostId: "H2" };
    expect(readMaintenanceForm(maintenanceValues(parts))).toMatchObject({
      ...{ checkPercent: null, checkSlices: 43, pruneCron: null, ownerHostId: "H2" },
    });
  });

  it("takes only the depth that is chosen", () => {
    const both = { ...values, check_percent: "5", check_slices: "43" };
    const depth = (check_depth: string) => readMaintenanceForm({ ...both, check_depth });
    expect(depth("structure")).toMatchObject({ checkPercent: null, checkSlices: null });
    expect(depth("percent")).toMatchObject({ checkPercent: 5, checkSlices: null });
    expect(depth("slices")).toMatchObject({ checkPercent: null, checkSlices: 43 });
  });

  it("leaves to the rules what is no number, and takes a comma and a percent sign", () => {
    const percent = (check_percent: string) =>
      readMaintenanceForm({ ...values, check_depth: "percent", check_percent }).checkPercent;
    expect([percent("2,5"), percent("10 %")]).toEqual([2.5, 10]);
    expect([percent(""), percent("much"), percent("-5")]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  });

  it("does not take an empty expression for one that is off", () => {
    expect(emptyCadences({ ...values, forget_cron: " " })).toMatchObject([{ path: "forget_cron" }]);
    expect(emptyCadences({ ...values, forget_cron: " ", forget_on: "" })).toEqual([]);
    expect(readMaintenanceForm({ ...values, forget_on: "" }).forgetCron).toBeNull();
  });

  it("has a sentence for every field that somebody else may change", () => {
    for (const field of maintenanceFields) expect(changeSentence(field, stored, []), field).toMatch(/\.$/);
    expect(changeSentence("prune_on", { ...stored, pruneCron: null }, [])).toBe("Prune is off now.");
    const owner = { ...stored, ownerHostId: "H2" };
    expect(changeSentence("owner_host_id", owner, [{ id: "H2", name: "web-02" }])).toContain("web-02");
  });
});
