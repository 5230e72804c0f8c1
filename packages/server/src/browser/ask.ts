/** Questions to the server's API, and why there is no answer in words. */

/** Why there is no answer, in a sentence. */
export interface Refused {
  words: string;
  /** The session has ended: everything else would be refused as well. */
  signedOut: boolean;
}

export type Answer<T> = { ok: true; body: T } | ({ ok: false } & Refused);

/**
 * Never rejects but when `signal` aborts.
 * @param question is posted when it does not fit into an address
 */
export async function ask<T>(url: string, signal: AbortSignal, question?: object): Promise<Answer<T>> {
  const posted = question && {
    ...{ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(question) },
  };
  try {
    const response = await fetch(url, { credentials: "same-origin", signal, ...posted });
    const body: unknown = await response.json();
    if (response.ok) return { ok: true, body: body as T };
    const { message } = body as { message?: unknown };
    const words = typeof message === "string" ? message : "The host could not be asked.";
    return { ok: false, words, signedOut: response.status === 401 };
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, words: "The server does not answer. Try again in a moment.", signedOut: false };
  }
}
