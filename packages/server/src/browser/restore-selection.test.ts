/** Choosing in a tree: three states, and what is left of a folder when one of its entries is taken out. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Ancestor, type Item, keyOf, Selection } from "./restore-selection.ts";

const item = (ref: string, kind = "file"): Item => ({ ref, path: ref, kind, sizeBytes: null });
const folder = (ref: string, ...children: string[]): Ancestor => ({
  ref,
  children: children.map((child) => item(child)),
});
const selectionOf = (...refs: string[]): Selection => {
  const selection = new Selection();
  for (const ref of refs) selection.add(item(ref));
  return selection;
};
const refs = (selection: Selection): string[] => selection.items.map(({ ref }) => ref).sort();

describe("a box", () => {
  it("is on for what is chosen and what is in it, part above it, off beside it", () => {
    const selection = selectionOf("/etc/nginx");
    const states = ["/etc/nginx", "/etc/nginx/conf.d/a", "/etc", "/", "/etc/nginx2", "/srv"].map((ref) =>
      selection.stateOf(ref),
    );
    expect(states).toEqual(["on", "on", "part", "part", "off", "off"]);
  });

  it("of the root is on for everything", () => {
    expect(selectionOf("/").stateOf("/a/b")).toBe("on");
  });

  it("tells names apart that are not UTF-8", () => {
    const bad = `base64:${btoa("/srv/bad\xff")}`;
    const selection = selectionOf(bad);
    expect([selection.stateOf("/srv"), selection.stateOf(bad), selection.stateOf("/srv/bad\ufffd")]).toEqual([
      "part",
      "on",
      "off",
    ]);
    expect(selectionOf("/srv").stateOf(bad)).toBe("on");
  });

  it("knows a folder by its bytes, whatever letters it has", () => {
    expect(selectionOf("/größe").stateOf(`base64:${btoa("/gr\xc3\xb6\xc3\x9fe/\xff")}`)).toBe("on");
  });
});

describe("choosing", () => {
  it("a folder replaces what was chosen in it", () => {
    expect(refs(selectionOf("/etc/a", "/etc/b/c", "/srv/x", "/etc"))).toEqual(["/etc", "/srv/x"]);
  });

  it("what comes with its folder changes nothing", () => {
    expect(refs(selectionOf("/etc", "/etc/a"))).toEqual(["/etc"]);
  });

  it("taking it out again leaves nothing", () => {
    const selection = selectionOf("/etc");
    selection.remove("/etc", []);
    expect(refs(selection)).toEqual([]);
  });

  it("an entry out of a chosen folder leaves all the others", () => {
    const selection = selectionOf("/etc");
    selection.remove("/etc/a", [folder("/", "/etc", "/srv"), folder("/etc", "/etc/a", "/etc/b", "/etc/c")]);
    expect(refs(selection)).toEqual(["/etc/b", "/etc/c"]);
    expect(selection.stateOf("/etc")).toBe("part");
  });

  it("one deep down leaves the others of every folder on the way", () => {
    const selection = selectionOf("/");
    const way = [folder("/", "/a", "/z"), folder("/a", "/a/b", "/a/y"), folder("/a/b", "/a/b/c", "/a/b/x")];
    selection.remove("/a/b/c", way);
    expect(refs(selection)).toEqual(["/a/b/x", "/a/y", "/z"]);
  });

  it("a folder that is chosen in part is chosen whole by the next click", () => {
    const selection = selectionOf("/etc/a");
    selection.add(item("/etc", "folder"));
    expect([refs(selection), selection.stateOf("/etc/b")]).toEqual([["/etc"], "on"]);
  });

  it("never has one in another, whatever is chosen in whichever order", () => {
    const part = fc.constantFrom("a", "b", "ab");
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), (paths) => {
        const chosen = refs(selectionOf(...paths)).map(keyOf);
        for (const one of chosen)
          for (const other of chosen) expect(one !== other && one.startsWith(`${other}/`)).toBe(false);
        for (const ref of paths) expect(selectionOf(...paths).stateOf(ref)).toBe("on");
      }),
    );
  });
});
