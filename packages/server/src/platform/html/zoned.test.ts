/** Times in a zone. */
import { describe, expect, it } from "vitest";
import { formatZoned, listTimeZones } from "./zoned.ts";

describe("a time in a zone", () => {
  it.each([
    { at: "2026-11-24T02:00:00Z", zone: "Europe/Berlin", text: "Tue 24 Nov 2026, 03:00 +01:00" },
    { at: "2026-07-24T02:00:00Z", zone: "America/New_York", text: "Thu 23 Jul 2026, 22:00 -04:00" },
    { at: "2026-11-24T00:00:00Z", zone: "UTC", text: "Tue 24 Nov 2026, 00:00 +00:00" },
    { at: "2026-11-24T00:00:00Z", zone: "Asia/Kathmandu", text: "Tue 24 Nov 2026, 05:45 +05:45" },
  ])("is $text", ({ at, zone, text }) => {
    expect(formatZoned(Date.parse(at), zone)).toBe(text);
  });

  it("can be chosen from a list that begins with UTC and names none twice", () => {
    const zones = listTimeZones();
    expect(zones[0]).toBe("UTC");
    expect(zones).toContain("Europe/Berlin");
    expect(new Set(zones).size).toBe(zones.length);
  });
});
