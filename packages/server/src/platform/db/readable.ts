/** Foreign text as it may be stored and shown. */

/** Without control characters: PostgreSQL takes no NUL in a text, and a terminal obeys the others. */
export const readable = (text: string): string => text.replace(/\p{Cc}/gu, "");
