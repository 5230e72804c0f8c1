/**
 * Which bytes of a file an answer holds (RFC 9110, §13 and §14): whole, one range, nothing new, or a range that is not
 * there. Pure. Several ranges at once are answered with the whole, as a server may.
 */

/** The headers of a request that decide it. */
export interface RangeRequest {
  range?: string | undefined;
  ifRange?: string | undefined;
  ifNoneMatch?: string | undefined;
}

export type RangeAnswer =
  | { kind: "whole" }
  /** Both ends included. */
  | { kind: "part"; start: number; end: number }
  | { kind: "not_modified" }
  | { kind: "not_satisfiable" };

/** @param etag strong, with its quotes @param sizeBytes of the whole file */
export function chooseRange(request: RangeRequest, etag: string, sizeBytes: number): RangeAnswer {
  if (request.ifNoneMatch !== undefined && matches(request.ifNoneMatch, etag))
    return { kind: "not_modified" };
  // A part is of use only beside the rest of the same file.
  if (request.ifRange !== undefined && request.ifRange.trim() !== etag) return { kind: "whole" };
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(request.range?.trim() ?? "") ?? [];
  if (first === "" && last === "") return { kind: "whole" };
  if (first === "") return suffixOf(Number(last), sizeBytes);
  const start = Number(first);
  const end = last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (last !== "" && Number(last) < start) return { kind: "whole" };
  return start >= sizeBytes ? { kind: "not_satisfiable" } : { kind: "part", start, end };
}

function suffixOf(length: number, sizeBytes: number): RangeAnswer {
  if (length === 0 || sizeBytes === 0) return { kind: "not_satisfiable" };
  return { kind: "part", start: Math.max(0, sizeBytes - length), end: sizeBytes - 1 };
}

/** A weak validator names the same bytes here: ours are never weak, but a proxy may have made one of it. */
function matches(list: string, etag: string): boolean {
  return list.split(",").some((one) => {
    const tag = one.trim();
    return tag === "*" || tag === etag || tag === `W/${etag}`;
  });
}
