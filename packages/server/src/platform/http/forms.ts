/**
 * What the page routes of all slices need around a posted form: a refusal as a value, so that the form is drawn
 * again with what was typed, and a safe way back.
 */
import { AppError, fieldProblems } from "../errors.ts";

/** What an operation said to a form. */
export type FormOutcome<T> = { done: true; value: T } | { done: false; refusal: Refusal };

/** Why a form is shown again. */
export interface Refusal {
  /** 429 for too many tries, otherwise 422. */
  status: 422 | 429;
  code: string;
  /** By field name on the wire. */
  errors: Record<string, string>;
  /** About the whole form; absent when every problem belongs to a field. */
  message?: string;
}

/** Waits for an operation. What the person can correct or wait for becomes a value; everything else is thrown on. */
export async function tryForm<T>(operation: Promise<T>): Promise<FormOutcome<T>> {
  try {
    return { done: true, value: await operation };
  } catch (error) {
    if (!(error instanceof AppError) || error.kind === "internal") throw error;
    return { done: false, refusal: refusalOf(error) };
  }
}

function refusalOf(error: AppError): Refusal {
  const errors = fieldProblems(error);
  const status = error.kind === "rate_limited" ? 429 : 422;
  const about = Object.keys(errors).length === 0 ? { message: error.message } : {};
  return { status, code: error.code, errors, ...about };
}

/**
 * A path of this site to go to, made from text that may come from anybody.
 * @returns `otherwise` for everything that a browser would take for another site
 */
export function safePath(text: string | undefined, otherwise = "/"): string {
  if (!text?.startsWith("/")) return otherwise;
  // Parsed as a browser does it, which drops tabs and newlines, reads `\` as `/` and folds `/.//`.
  const here = "http://here.invalid";
  const url = URL.parse(text, here);
  if (url?.origin !== here || url.pathname.startsWith("//")) return otherwise;
  return `${url.pathname}${url.search}${url.hash}`;
}
