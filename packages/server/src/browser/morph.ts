/**
 * Makes a part of the page equal to a newer rendering of it by touching only what differs: elements keep
 * their identity by id or position, so focus, scroll and open details stay. Never evaluates anything.
 */

/** Attributes that belong to the reader, not to the server. */
const KEPT: Readonly<Record<string, readonly string[]>> = { DETAILS: ["open"], DIALOG: ["open"] };

/** Makes the children of `target` equal to those of `source`. */
export function morphChildren(target: Element, source: Element): void {
  const known = new Map<string, Element>();
  for (const child of target.children) if (child.id !== "") known.set(child.id, child);
  const staying = new Set<string>();
  for (const child of source.children) if (child.id !== "") staying.add(child.id);
  let cursor = target.firstChild;
  for (const wanted of [...source.childNodes]) {
    const match = matchFor(wanted, cursor, known);
    if (match === null) {
      target.insertBefore(wanted, cursor);
      continue;
    }
    cursor = dropUnwanted(cursor, match, staying);
    if (match === cursor) cursor = cursor.nextSibling;
    else target.insertBefore(match, cursor);
    morphNode(match, wanted);
  }
  removeFrom(cursor);
}

/** Removes what stands before the match and is gone: moving the match itself would cost it its focus. */
function dropUnwanted(
  from: ChildNode | null,
  match: ChildNode,
  staying: ReadonlySet<string>,
): ChildNode | null {
  let cursor = from;
  while (cursor !== null && cursor !== match && !(cursor instanceof Element && staying.has(cursor.id))) {
    const next: ChildNode | null = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
  return cursor;
}

function removeFrom(first: ChildNode | null): void {
  let cursor = first;
  while (cursor !== null) {
    const next: ChildNode | null = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

function matchFor(wanted: Node, cursor: ChildNode | null, known: Map<string, Element>): ChildNode | null {
  if (wanted instanceof Element && wanted.id !== "") {
    const same = known.get(wanted.id);
    return same !== undefined && same.tagName === wanted.tagName ? same : null;
  }
  if (cursor === null || cursor.nodeType !== wanted.nodeType || cursor.nodeName !== wanted.nodeName)
    return null;
  return cursor instanceof Element && cursor.id !== "" ? null : cursor;
}

function morphNode(target: ChildNode, source: Node): void {
  if (!(target instanceof Element) || !(source instanceof Element)) {
    if (target.nodeValue !== source.nodeValue) target.nodeValue = source.nodeValue;
    return;
  }
  if (target.isEqualNode(source) || isBusy(target) || isSameTime(target, source)) return;
  // Parsed without scripts its content is elements, in the page it is text: never equal, never shown.
  if (target.tagName === "NOSCRIPT") return;
  morphAttributes(target, source);
  morphChildren(target, source);
}

/** What the reader is typing into is theirs. */
function isBusy(element: Element): boolean {
  return element === document.activeElement && element.matches("input, select, textarea");
}

/** Times tick on their own: only a new point in time is a change. */
function isSameTime(target: Element, source: Element): boolean {
  return target.tagName === "TIME" && target.getAttribute("datetime") === source.getAttribute("datetime");
}

function morphAttributes(target: Element, source: Element): void {
  const kept = KEPT[target.tagName] ?? [];
  for (const { name } of [...target.attributes]) {
    if (!source.hasAttribute(name) && !kept.includes(name)) target.removeAttribute(name);
  }
  for (const { name, value } of source.attributes) {
    if (target.getAttribute(name) !== value && !kept.includes(name)) target.setAttribute(name, value);
  }
}
